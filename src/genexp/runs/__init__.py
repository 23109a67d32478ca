"""A run as data: its folder, its records, where it comes from, what it measured."""

"""A trained run used: loaded, drawn from, measured."""

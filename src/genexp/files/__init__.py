"""Files of any kind: written whole or not at all, read once and checked, locked, changed together."""

"""One run, from its configuration to its closing values."""

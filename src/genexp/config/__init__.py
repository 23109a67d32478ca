"""Configuration: how it is composed, checked and built."""

"""Loggers: what a run keeps and shows of its training."""

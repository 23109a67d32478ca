"""Runs: claim a folder, compose and check a configuration, log, resume, and rebuild a trained model."""

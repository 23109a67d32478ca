"""A search for good values of a configuration: a question in YAML, asked with Optuna, answered by jobs of the pool."""

"""A paper's table as a file: what has to be trained and measured for it, run to the end, and handed to the reports."""

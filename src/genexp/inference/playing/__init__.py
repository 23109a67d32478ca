"""A page to play with: what it can ask for, and the small server behind it."""

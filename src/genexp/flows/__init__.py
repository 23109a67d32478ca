"""Invertible transforms with their log-determinants, from which normalising flows are composed."""

"""Comparison of finished work, read from run folders alone: tables, curves, pictures and a page. Imports no torch."""

"""Datasets in memory, and where they come from."""

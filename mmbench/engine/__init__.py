"""Engines: where cells run."""

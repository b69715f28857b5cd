"""Comparison and selection of finished trials."""

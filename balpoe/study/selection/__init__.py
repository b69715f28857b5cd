"""Comparison of finished trials and choice among them."""

"""Proposal of trials, early stopping of trials, and the end of the search."""

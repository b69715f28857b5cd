"""Optuna's storage of a study, and the lease of the driver that writes it."""

"""The records of all trials, in Optuna's storage and in files."""

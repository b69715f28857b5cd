"""The records of all trials, read and written through Optuna's storage and the files."""

"""One trial: its identity, files, failures and events."""

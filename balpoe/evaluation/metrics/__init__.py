"""The metrics, one module for each kind; `balpoe.config.metrics` has their table."""

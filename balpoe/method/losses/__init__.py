"""The losses, one module each; `balpoe.config.loss` has their table."""

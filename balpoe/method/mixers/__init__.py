"""The mixers, one module each; `balpoe.config.mixing` has their table."""

"""The second stages, one module each; `balpoe.config.second_stage` has their table."""

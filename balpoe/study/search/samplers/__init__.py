"""The samplers, one module each; `balpoe.config.sampler` has their table."""

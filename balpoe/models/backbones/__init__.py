"""The backbones, one module or package each; `balpoe.config.model` has their table."""

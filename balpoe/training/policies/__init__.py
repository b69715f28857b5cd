"""The augmentation policies, one module each; `balpoe.config.augmentation` has their table."""

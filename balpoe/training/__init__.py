"""The training engine: it turns a configuration and images into trained, measured experts."""

"""The data sources, one package each."""

"""Studies whose files are in an object store."""

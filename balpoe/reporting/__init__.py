"""Progress and results on screen and as JSON."""

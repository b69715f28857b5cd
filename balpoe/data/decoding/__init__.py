"""Decoding of images: in memory, or streamed by worker processes."""

"""The sources of images, one module each, and what several of them share."""

"""The best configurations of a study as files, with the evidence for them."""

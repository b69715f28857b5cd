"""Figures of studies, trials and models, drawn with matplotlib from stored records alone."""

"""Evaluation of expert logits on labelled images."""

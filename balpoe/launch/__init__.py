"""The verbs: each wires one task together from the layers below."""

"""Networks: backbones, classifiers, and experts that share layers."""

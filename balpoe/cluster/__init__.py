"""Ray clusters: joining one, checking its nodes, and handing studies over to it."""

"""The header walk: a chain of stages, one for each layer of a frame, shared by both directions."""

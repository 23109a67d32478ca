"""Textures that are put together from pixels or patches of a sample, without features or training."""

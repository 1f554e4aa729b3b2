"""Zoom at test time: several views of an image merged into one answer, and networks adapted to one image."""

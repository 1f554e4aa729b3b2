"""Images whose label is likely wrong, or that nobody can label, from what all zooms of all models agree on."""

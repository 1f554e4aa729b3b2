"""What a run says: pure functions on `correct`, bool `[images, zooms]`. Nothing here loads a model."""

"""Hard sets: images that nothing reads, what speaks for and against them, and what people decided."""

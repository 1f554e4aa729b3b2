"""The engine room: plans shards, hands them out, and keeps going when a worker dies."""

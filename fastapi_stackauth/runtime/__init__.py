"""State that requests share while an app runs: events, limits, storage and the cache."""

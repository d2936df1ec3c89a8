"""State that requests share while an app runs: event loops, single flight and the one cache."""

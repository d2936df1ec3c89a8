"""Drills: real processes, a line between them that breaks in every way, and people who must notice nothing but 503."""

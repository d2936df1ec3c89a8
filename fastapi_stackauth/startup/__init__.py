"""Checks before the first request: misuse and missing settings."""

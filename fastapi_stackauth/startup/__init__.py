"""What is checked before the first request: misuse, missing settings."""

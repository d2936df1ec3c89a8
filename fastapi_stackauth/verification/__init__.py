"""Step 2 verifies that a token is genuine, issued for this project and current."""

"""The sign-in methods, with a file for each."""

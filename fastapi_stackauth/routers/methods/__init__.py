"""One file for each sign-in method."""

"""Data from the auth server about a verified caller: permissions, API keys, accounts and the project."""

"""Data of the auth server about a verified caller: permissions, API keys, the project."""

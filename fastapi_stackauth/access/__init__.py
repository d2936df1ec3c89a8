"""What the auth server knows about a verified caller: permissions, API keys, the project."""

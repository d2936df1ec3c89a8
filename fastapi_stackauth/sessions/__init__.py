"""Sessions between requests: cookies, credentials, redirects."""

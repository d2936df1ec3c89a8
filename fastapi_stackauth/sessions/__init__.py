"""How a session travels: cookies, credentials, redirects."""

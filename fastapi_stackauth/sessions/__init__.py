"""Sessions: credentials of requests, cookies and redirects."""

"""Sign-in for command-line tools: the device authorization grant (RFC 8628)."""

"""The auth server's operations, one file for each resource."""

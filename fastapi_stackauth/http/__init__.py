"""The edge between the library and an app: installation, error responses, OpenAPI, webhooks, health."""

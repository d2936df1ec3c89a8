"""The shared parts of all routes: declaration, delivery of tokens, forms, pages."""

"""What all routes share: declaration, delivery of tokens, forms, pages."""

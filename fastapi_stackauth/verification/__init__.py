"""Step 2: is this token genuine, ours and current? Pure checks, the keys they need, the verifier that joins them."""

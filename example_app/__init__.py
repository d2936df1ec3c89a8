"""A small team-notes app on fastapi-stackauth. `auth.py` is the integration; all the rest is the app."""

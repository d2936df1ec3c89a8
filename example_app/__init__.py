"""A small app for team notes with fastapi-stackauth. `auth.py` contains the integration; all other files the app."""

"""A small app that shows how fastapi-stackauth is used."""

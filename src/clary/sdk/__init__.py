"""Clary's Python client: what the command line does, as calls. Never imports torch."""

"""What a model archive carries as `code/`; it runs without Clary."""

"""What the service remembers: SQLite through SQLAlchemy Core. Nobody else speaks SQLAlchemy."""

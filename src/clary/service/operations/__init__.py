"""What the service offers: one module for each kind of thing, one table of all operations."""

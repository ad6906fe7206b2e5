"""What two processes share: every format is versioned and has a page in `docs/formats/`."""

"""Rules: pure functions from a window of history to findings, and the runner that calls them."""

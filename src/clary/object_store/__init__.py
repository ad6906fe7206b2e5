"""Buckets and objects as plain folders and files, with a side index. Knows nothing of HTTP."""

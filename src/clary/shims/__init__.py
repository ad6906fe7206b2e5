"""What makes other people's code run here. This folder is ahead on their `PYTHONPATH`."""

"""Moves jobs from status to status: the only writer of a job's status."""

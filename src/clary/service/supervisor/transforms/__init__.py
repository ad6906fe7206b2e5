"""Batch transform jobs from their creation to their end.

transitions   how they move from status to status
conducting    one job, a step at a time
supervisor    the thread, and what others ask of it
"""

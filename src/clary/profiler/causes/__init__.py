"""What may hold a training back: a file for each kind of cause.

Each takes a `Situation` and answers with a `Diagnosis`, or None where it is not the cause.
"""

"""Hyperparameter tuning jobs: their trials are begun, stopped and counted here."""

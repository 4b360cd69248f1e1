"""Tells subscribers what happened."""

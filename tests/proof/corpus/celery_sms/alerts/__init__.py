"""Sends alerts to phones."""

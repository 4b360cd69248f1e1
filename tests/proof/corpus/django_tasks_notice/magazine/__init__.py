"""Subscriptions of a magazine."""

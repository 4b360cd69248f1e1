"""Returned goods: the money goes back to the buyer."""

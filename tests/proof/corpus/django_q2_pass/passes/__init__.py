"""Passes and how they are issued."""

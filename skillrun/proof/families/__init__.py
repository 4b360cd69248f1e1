"""Families of schedules: one kind of fault each."""

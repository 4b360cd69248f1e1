"""Runs schedules, as broker, clock and worker."""

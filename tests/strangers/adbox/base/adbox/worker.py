"""What the consumer loads."""

from . import rescue  # noqa: F401  (its periodic task)
from .jobs import huey

__all__ = ["huey"]

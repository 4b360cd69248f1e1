"""Fixtures that several tests of the scaffold share."""

from journals import old_and_new
from reading_conventions import conventions_of

__all__ = ["conventions_of", "old_and_new"]

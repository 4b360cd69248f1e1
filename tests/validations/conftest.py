"""Fixtures that several tests of consent share."""

from consenting import clone, upstream

__all__ = ["clone", "upstream"]

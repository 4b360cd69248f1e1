"""The checks of Celery's rules, for every module here."""

from __future__ import annotations

from celery_rules import check_finds, check_ignores

__all__ = ["check_finds", "check_ignores"]

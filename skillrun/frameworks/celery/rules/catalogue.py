"""The static rules of Celery: what each is about, why it matters, and where it comes from."""

from __future__ import annotations

from skillrun.frameworks.interface import Rule

RULES: tuple[Rule, ...] = ()

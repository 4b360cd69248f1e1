"""Where a framework's files are, for those who load them by path: its driver, and its worker for a
confirmation.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def folder_of(id_: str) -> Path:
    """The package of a framework id: "django-tasks" -> frameworks/django_tasks."""
    return _HERE / id_.replace("-", "_")


def with_driver() -> list[str]:
    """The ids of the frameworks that have a driver."""
    return sorted(path.parent.name.replace("_", "-") for path in _HERE.glob("*/probe.py"))

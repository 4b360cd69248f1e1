"""Where a framework's files are, for those who load them by name: its driver, and its worker for a
confirmation.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def name_folder(id_: str) -> str:
    """The folder of a framework id: "django-tasks" is in django_tasks."""
    return id_.replace("-", "_")


def with_driver() -> list[str]:
    """The ids of the frameworks that have a driver."""
    return sorted(path.parent.name.replace("_", "-") for path in _HERE.glob("*/driver.py"))

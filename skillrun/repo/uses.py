"""That a repository uses a job library, and where: what a look over all its files concludes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A line of a file in the repository."""

    path: str
    line: int
    text: str = ""


@dataclass(frozen=True)
class FrameworkUse:
    """That a repository uses a job library, and where."""

    id: str
    app: str | None = None  # "path:object", e.g. "shop/celery.py:app"
    apps: tuple[str, ...] = ()  # every app object found, the main one first
    task_modules: tuple[str, ...] = ()  # paths
    scheduler: str | None = None  # e.g. "celery-beat"
    broker: str | None = None  # e.g. "redis"
    evidence: tuple[Place, ...] = ()


class Offer(FrameworkUse):
    """Jobs for whoever has the library: the repository itself does not ask for it, as a plug-in
    whose tasks are there for applications that run Celery.
    """

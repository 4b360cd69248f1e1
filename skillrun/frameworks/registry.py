"""The job libraries that skillrun knows: a new one is its folder, its sample app, its tests, and
one line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks import (
    apscheduler,
    arq,
    celery,
    django_q2,
    django_tasks,
    dramatiq,
    huey,
    plain_cron,
    procrastinate,
    rq,
    taskiq,
)
from skillrun.frameworks.interface import Framework
from skillrun.frameworks.known.catalogue import TITLES as RECOGNISED_ONLY
from skillrun.frameworks.known.catalogue import known_recognisers

if TYPE_CHECKING:
    from skillrun.repo.survey import Recogniser

FRAMEWORKS: dict[str, Framework] = {
    "apscheduler": apscheduler,
    "arq": arq,
    "celery": celery,
    "django-q2": django_q2,
    "django-tasks": django_tasks,
    "dramatiq": dramatiq,
    "huey": huey,
    "plain-cron": plain_cron,
    "procrastinate": procrastinate,
    "rq": rq,
    "taskiq": taskiq,
}


__all__ = ["FRAMEWORKS", "RECOGNISED_ONLY", "recognisers"]


def recognisers() -> list[Recogniser]:
    """A fresh recogniser of every job library, for one pass over the files."""
    return [*(framework.recogniser() for framework in FRAMEWORKS.values()), *known_recognisers()]

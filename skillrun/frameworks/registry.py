"""The job libraries that skillrun knows. A new one is a folder beside this file, and here an import
and an entry; CONTRIBUTING.md lists its files and the rows of its tests.
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
    saq,
    taskiq,
)
from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Framework
from skillrun.frameworks.known.catalogue import TITLES as RECOGNISED_ONLY
from skillrun.frameworks.known.catalogue import known_recognisers

if TYPE_CHECKING:
    from skillrun.repo.survey import Recogniser

FRAMEWORKS: dict[str, Framework] = {
    "apscheduler": apscheduler.FRAMEWORK,
    "arq": arq.FRAMEWORK,
    "celery": celery.FRAMEWORK,
    "django-q2": django_q2.FRAMEWORK,
    "django-tasks": django_tasks.FRAMEWORK,
    "dramatiq": dramatiq.FRAMEWORK,
    "huey": huey.FRAMEWORK,
    "plain-cron": plain_cron.FRAMEWORK,
    "procrastinate": procrastinate.FRAMEWORK,
    "rq": rq.FRAMEWORK,
    "saq": saq.FRAMEWORK,
    "taskiq": taskiq.FRAMEWORK,
}


__all__ = ["FRAMEWORKS", "RECOGNISED_ONLY", "features_of", "list_proved", "recognisers"]

_NO_FEATURES = Features()


def features_of(id_: str | None) -> Features:
    """Those of a library; none of a plain callable, and of a library that is only recognised."""
    known = FRAMEWORKS.get(id_ or "")
    if known is None:
        return _NO_FEATURES
    return known.FEATURES


def list_proved() -> list[str]:
    """The ids of the libraries whose jobs have a driver."""
    return [id_ for id_, known in FRAMEWORKS.items() if known.DRIVER is not None]


def recognisers() -> list[Recogniser]:
    """A fresh recogniser of every job library, for one pass over the files."""
    return [*(framework.recogniser() for framework in FRAMEWORKS.values()), *known_recognisers()]

"""The job libraries that skillrun knows: a new one is its folder, its sample app, its tests, and one line here."""

from __future__ import annotations

from skillrun.frameworks import apscheduler, celery, dramatiq, huey, plain_cron, rq
from skillrun.frameworks.interface import Framework

FRAMEWORKS: dict[str, Framework] = {
    "apscheduler": apscheduler,
    "celery": celery,
    "dramatiq": dramatiq,
    "huey": huey,
    "plain-cron": plain_cron,
    "rq": rq,
}

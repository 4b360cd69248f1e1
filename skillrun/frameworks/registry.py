"""The job libraries that skillrun knows: a new one is its folder, its sample app, its tests, and one line here."""

from __future__ import annotations

from skillrun.frameworks import celery, huey, plain_cron
from skillrun.frameworks.interface import Framework

FRAMEWORKS: dict[str, Framework] = {"celery": celery, "huey": huey, "plain-cron": plain_cron}

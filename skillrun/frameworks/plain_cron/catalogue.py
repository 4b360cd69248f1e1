"""The static rules of plain callables: what each is about, why it matters, and where it comes
from.
"""

from __future__ import annotations

from skillrun.frameworks.common.callables.rules import found_in, rules_of_callables
from skillrun.frameworks.interface import Rule

RULES: tuple[Rule, ...] = (
    *rules_of_callables("plain-cron"),
    Rule(
        "plain-cron.crontab-minute",
        "contract",
        "`* 3 * * *` runs every minute from 3:00 to 3:59, because its minute is '*'.",
        "crontab(5); flake8-pie PIE784 says the same of Celery's crontab",
        found_in("plain_cron.rules", "crontab_minute"),
    ),
    Rule(
        "plain-cron.cronjob-overlap",
        "idempotency",
        "Kubernetes starts the next run beside one that still runs, unless concurrencyPolicy"
        " forbids it.",
        "CronJob in the documentation of Kubernetes: concurrencyPolicy is Allow by default;"
        " django-cronjobs#1",
        found_in("plain_cron.rules", "cronjob_overlap"),
    ),
    Rule(
        "plain-cron.called-not-scheduled",
        "handler",
        "`.do(f())` runs f once at start-up and schedules what it returned.",
        "Job.do of the library schedule: TypeError where the value is not callable",
        found_in("plain_cron.rules", "called_not_scheduled"),
    ),
    Rule(
        "plain-cron.schedule-dies",
        "retry",
        "The library schedule lets a job's exception through: it ends the loop, and with it every"
        " other job.",
        "Exception handling in the documentation of schedule: 'Schedule doesn't catch exceptions'",
        found_in("plain_cron.rules", "schedule_dies"),
    ),
)

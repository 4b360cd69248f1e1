"""The static rules of APScheduler: what each is about, why it matters, and where it comes from."""

from __future__ import annotations

from skillrun.frameworks.common.callables.rules import found_in, rules_of_callables
from skillrun.frameworks.interface import Rule

_FAQ = "frequently asked questions of APScheduler 3"
_GUIDE = "user guide of APScheduler 3"

RULES: tuple[Rule, ...] = (
    *rules_of_callables("apscheduler"),
    Rule(
        "apscheduler.started-in-web-process",
        "idempotency",
        "A scheduler that a web module starts runs in each of the server's processes: every job"
        " runs that many times.",
        "lokole#1: four gunicorn workers, each mail four times; agronholm/apscheduler#766; " + _FAQ,
        found_in("apscheduler.rules", "started_in_web_process"),
    ),
    Rule(
        "apscheduler.copied-on-restart",
        "idempotency",
        "A job without an id is added to a persistent store again at every start, and each copy"
        " runs.",
        _GUIDE + ": 'you MUST define an explicit ID for the job and use replace_existing=True'",
        found_in("apscheduler.rules", "copied_on_restart"),
    ),
    Rule(
        "apscheduler.misfire",
        "retry",
        "A run that comes more than misfire_grace_time late (1 s unless it is set) is dropped, not"
        " done later.",
        _GUIDE + ", missed job executions; ethyca/fides#7346: a daily job that was not run",
        found_in("apscheduler.rules", "misfire"),
    ),
    Rule(
        "apscheduler.piled-up-runs",
        "idempotency",
        "With coalesce=False, all the runs that were missed while the process was down are made at"
        " once.",
        _GUIDE + ", missed job executions and coalescing",
        found_in("apscheduler.rules", "piled_up_runs"),
    ),
    Rule(
        "apscheduler.max-instances",
        "idempotency",
        "max_instances above 1 lets a run begin beside one that still goes on.",
        _GUIDE
        + ", limiting the number of concurrently executing instances; django-celery-beat#331",
        found_in("apscheduler.rules", "max_instances"),
    ),
    Rule(
        "apscheduler.coroutine-in-threads",
        "handler",
        "A scheduler that runs its jobs in threads makes a coroutine of an async function, and"
        " never awaits it.",
        "of APScheduler 3's executors only asyncio.py and tornado.py ask whether the function is a"
        " coroutine's",
        found_in("apscheduler.rules", "coroutine_in_threads"),
    ),
    Rule(
        "apscheduler.called-not-added",
        "handler",
        "`add_job(f())` runs f once, there and then, and adds what it returned.",
        "Job._modify in apscheduler/job.py: TypeError where func is neither callable nor a text",
        found_in("apscheduler.rules", "called_not_added"),
    ),
    Rule(
        "apscheduler.unserializable",
        "handler",
        "A lambda or an inner function cannot be kept in a persistent store, which keeps the name"
        " of the function.",
        "Job.__getstate__ in apscheduler/job.py: 'This Job cannot be serialized'",
        found_in("apscheduler.rules", "unserializable"),
    ),
    Rule(
        "apscheduler.daylight-saving",
        "contract",
        "A cron time in the hour of the clock change is skipped in spring, and may come twice in"
        " autumn.",
        "agronholm/apscheduler#87, #120; daylight saving time behavior of the cron trigger",
        found_in("apscheduler.rules", "daylight_saving"),
    ),
)

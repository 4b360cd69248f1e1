"""Rules that most libraries share, and why a library lacks one: data for the page of the rules."""

from __future__ import annotations

from skillrun.frameworks.registry import FRAMEWORKS

# A rule that so many libraries have is one that the others owe a reason for.
MANY = 5
_CLOCKED = "a clock starts it: nothing is published"
_NEXT_TICK = "nothing runs a job again after an error: the next run is the schedule's"
_PLAIN_CALL = "it sends by a plain call, and not by a coroutine"
_JSON_ALONE = "its arguments are JSON, and nothing else"

# Rule -> library -> why it has none of that name, or which of its rules says the same.
GAPS: dict[str, dict[str, str]] = {
    "permanent-retried": {"apscheduler": _NEXT_TICK, "plain-cron": _NEXT_TICK},
    "swallowed-exception": {
        "apscheduler": "`apscheduler.failed-marked-done`",
        "plain-cron": "`plain-cron.failed-marked-done`",
    },
    "permanent-not-recorded": {"apscheduler": _NEXT_TICK, "plain-cron": _NEXT_TICK},
    "object-argument": {"apscheduler": _CLOCKED, "plain-cron": _CLOCKED},
    "wrong-arguments": {"apscheduler": _CLOCKED, "plain-cron": _CLOCKED},
    "publish-in-transaction": {
        "apscheduler": _CLOCKED,
        "plain-cron": _CLOCKED,
        "dramatiq": "`dramatiq.send-in-transaction`",
    },
    "publish-unkeyed": {
        "apscheduler": _CLOCKED,
        "plain-cron": _CLOCKED,
        "dramatiq": "`dramatiq.send-again`",
    },
    "not-awaited": {
        "apscheduler": _CLOCKED,
        "plain-cron": _CLOCKED,
        "celery": _PLAIN_CALL,
        "django-q2": _PLAIN_CALL,
        "dramatiq": _PLAIN_CALL,
        "huey": _PLAIN_CALL,
        "rq": _PLAIN_CALL,
    },
    "pickle-serializer": {
        "apscheduler": _CLOCKED,
        "plain-cron": _CLOCKED,
        "dramatiq": "`dramatiq.pickle-encoder`",
        "django-q2": "its pickles are signed with Django's SECRET_KEY",
        "django-tasks": _JSON_ALONE,
        "procrastinate": _JSON_ALONE,
    },
    "retry-unbounded": {
        "apscheduler": _NEXT_TICK,
        "plain-cron": _NEXT_TICK,
        "arq": "max_tries bounds every job, at 5 where nobody says another number",
        "rq": "`Retry(max=...)` is a number, and has no form for without end",
        "saq": "`retries` is a number, and has no form for without end",
        "taskiq": "the middlewares count up to default_retry_count; `taskiq.requeue` has what they do not",
        "django-q2": "`django-q2.unbounded-attempts`",
    },
}


def list_owners() -> dict[str, set[str]]:
    """Rule, without its library's name -> the libraries that have it."""
    owners: dict[str, set[str]] = {}
    for name, framework in FRAMEWORKS.items():
        for rule in framework.list_rules():
            owners.setdefault(rule.id.partition(".")[2], set()).add(name)
    return owners


def list_shared() -> list[str]:
    """The rules that many libraries have, those that most have first."""
    owners = list_owners()
    shared = [rule for rule, libraries in owners.items() if len(libraries) >= MANY]
    return sorted(shared, key=lambda rule: (-len(owners[rule]), rule))

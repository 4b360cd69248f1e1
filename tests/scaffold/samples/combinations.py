"""What varies in a job that a scaffold writes, and the rows of the matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

FRAMEWORKS = (
    *(
        "celery",
        "rq",
        "huey",
        "dramatiq",
        "arq",
        "saq",
        "taskiq",
        "procrastinate",
        "django_q2",
        "django_tasks",
    ),
    *("plain_cron", "apscheduler"),
)
STORES = ("sqlite3", "receiver", "redis", "sqlalchemy", "asyncio", "alembic", "django")
ONLY = {
    "django": ("celery", "procrastinate", "plain_cron"),
    "asyncio": ("arq", "saq", "taskiq", "procrastinate"),
}
"""Stores that some frameworks alone have."""
IN_DJANGO = dict.fromkeys(("django_q2", "django_tasks"), ("django", "receiver", "redis"))
"""Frameworks that live in Django projects alone, and the stores there; the first is the usual one."""
CLOCKED = {"plain_cron": ("poller", "cron"), "apscheduler": ("poller", "cron")}
"""Frameworks that carry no event: their handlers take a payload, and their first trigger is the usual one."""
_WITH_CLOCK = (
    *("huey", "dramatiq", "arq", "saq", "taskiq", "procrastinate"),
    *("django_q2", "django_tasks"),
)
CLOCKS = {**CLOCKED, **dict.fromkeys(_WITH_CLOCK, ("cron", "poller"))}
COUNTS_DEATHS = ("celery", "rq")
"""A worker's death is an attempt there."""
DEAD_LETTERS = {
    "celery": ("queue",),
    **dict.fromkeys(
        ("rq", "dramatiq", "procrastinate", "django_q2", "django_tasks"), ("framework",)
    ),
}
"""What a framework has besides a table and none."""


@dataclass(frozen=True)
class Combination:
    """What varies: the framework, the trigger, where handled keys are kept, where dead jobs go,
    whether it retries.
    """

    framework: str
    trigger: str = "event"  # event | cron | poller
    store: str = "sqlite3"  # sqlite3 | sqlalchemy | asyncio | alembic | django | redis | receiver
    dead: str = "table"  # table | queue | framework | none
    retry: bool = True
    effect: str = "keyed"  # keyed | transactional | at_least_once | at_most_once
    message: str = "kwargs"  # kwargs | payload
    backoff: str = "doubling"  # doubling | tripling | fixed
    broker: bool = False  # CI and a compose file start a Redis, which tests may use

    def __str__(self) -> str:
        parts = [self.framework, self.trigger, self.store, f"dead {self.dead}"]
        parts += ["bounded" if self.retry else "no retry", self.effect, self.message, self.backoff]
        return ", ".join([*parts, *(["with a broker"] if self.broker else [])])


def combinations() -> Iterator[Combination]:
    """Every combination that a scaffold has to write, framework by framework."""
    for framework in FRAMEWORKS:
        base = usual(framework)
        yield from _of(base)
        for trigger in CLOCKS.get(framework, ()):
            for retry in (True, False):
                if trigger != base.trigger:
                    yield replace(base, trigger=trigger, retry=retry)


def stores_of(framework: str) -> Iterator[str]:
    """Those that a framework has; SQLAlchemy's of asyncio is for handlers that await."""
    every = (name for name in STORES if framework in ONLY.get(name, FRAMEWORKS))
    yield from IN_DJANGO.get(framework, every)


def usual(framework: str) -> Combination:
    """The plainest job of a framework."""
    if framework in CLOCKED:
        return Combination(framework, trigger=CLOCKED[framework][0], message="payload")
    return Combination(
        framework, store=IN_DJANGO[framework][0] if framework in IN_DJANGO else "sqlite3"
    )


def _of(base: Combination) -> Iterator[Combination]:
    """The factors that matter to each other are crossed; the others vary one at a time."""
    for store in stores_of(base.framework):
        for retry in (True, False):
            yield replace(base, store=store, retry=retry)
    for effect in ("transactional", "at_least_once", "at_most_once"):
        yield replace(base, effect=effect, retry=effect != "at_most_once")
    if "asyncio" in stores_of(base.framework):
        yield replace(base, store="asyncio", effect="transactional")
    if base.message != "payload":
        yield replace(base, message="payload")
    yield replace(base, backoff="tripling")
    yield replace(base, backoff="fixed")
    yield replace(base, dead="none")
    if base.framework not in COUNTS_DEATHS:
        yield replace(base, dead="none", retry=False)
    if "framework" in DEAD_LETTERS.get(base.framework, ()):
        yield replace(base, dead="framework")
    if base.framework == "celery":
        yield replace(base, dead="queue")
        yield replace(base, store="django", broker=True)
    if base.framework not in (*CLOCKED, "django_tasks"):
        yield replace(base, broker=True)
        yield replace(base, broker=True, store="receiver", message="payload")
    if base.framework in ("celery", "rq"):
        yield replace(base, trigger="cron")
    if base.framework in ("celery", "rq", "dramatiq"):
        yield replace(base, trigger="poller", message="payload")


def every() -> Iterator[Combination]:
    """The whole product of framework, trigger, store, dead letter and retry, without what a
    scaffold refuses.
    """
    for framework in FRAMEWORKS:
        base = usual(framework)
        own = {"celery": ("cron", "poller"), "rq": ("cron", "poller")}.get(
            framework, CLOCKS.get(framework, ())
        )
        for trigger in dict.fromkeys((base.trigger, *own)):
            for store in stores_of(framework):
                for dead in ("table", "none", *DEAD_LETTERS.get(framework, ())):
                    for retry in (True, False):
                        if not _is_refused(framework, store, dead, retry):
                            yield replace(
                                base, trigger=trigger, store=store, dead=dead, retry=retry
                            )


def _is_refused(framework: str, store: str, dead: str, retry: bool) -> bool:
    """A job that leaves no dead letter is lost where a held lease, or a worker's death, uses up its
    attempts.
    """
    return dead == "none" and (store == "redis" or (framework in COUNTS_DEATHS and not retry))

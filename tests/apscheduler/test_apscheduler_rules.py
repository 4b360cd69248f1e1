"""Each rule of APScheduler on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest

from skillrun.contract.job import JobSpec
from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.apscheduler import FRAMEWORK as apscheduler
from skillrun.frameworks.apscheduler.jobs import DEFAULTS
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.rulebook import read_rule
from skillrun.repo.python import Project
from skillrun.repo.survey import Survey
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = """\
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.triggers.cron import CronTrigger
from flask import Flask
from shop.jobs import sweep
"""
PLAIN = "scheduler = BackgroundScheduler()\n"
STORED = (
    "scheduler = BackgroundScheduler(jobstores={'default':"
    " SQLAlchemyJobStore(url='sqlite:///j')})\n"
)
SPEC = {
    "version": 1,
    "job": "sweep",
    "effects": [{"name": "email", "call": "shop.mailer:send", "guarantee": "at_least_once"}],
}
DAILY = "scheduler.add_job(sweep, 'cron', hour=4)"
Check = Callable[..., None]


def findings(
    root: Path, rule: str, clock: str, files: dict[str, str]
) -> tuple[Project, list[Finding]]:
    every = {
        "shop/jobs.py": "from shop import mailer\ndef sweep(): mailer.send(1)\n",
        "shop/mailer.py": "def send(x): ...\n",
    }
    helpers.build_tree(root, {**every, "shop/clock.py": HEAD + textwrap.dedent(clock), **files})
    project, use = Project(Tree(root)), FrameworkUse("apscheduler", app="shop/clock.py:scheduler")
    handler = apscheduler.find_handler(project, use, "shop.jobs:sweep")
    assert handler is not None
    policy = apscheduler.read_policy(project, use, handler)
    job = Job(project, Survey(), use, JobSpec.model_validate(SPEC), handler, policy)
    found = next(r for r in apscheduler.list_rules() if r.id == f"apscheduler.{rule}")
    return project, list(read_rule(found, job).findings)


@pytest.fixture
def check_finds(tmp_path: Path) -> Check:
    numbers = itertools.count()

    def check(
        rule: str, clock: str, severity: Severity, words: str, line: str | None = None, **files: str
    ) -> None:
        project, found = findings(tmp_path / f"r{next(numbers)}", rule, clock, files)
        (finding,) = found
        assert (finding.rule, finding.severity) == (f"apscheduler.{rule}", severity)
        assert words in finding.message
        module = project.module(finding.path or "")
        if line is not None and module is not None:
            assert module.line_text(finding.line or 0) == line

    return check


@pytest.fixture
def check_ignores(tmp_path: Path) -> Check:
    numbers = itertools.count()

    def check(rule: str, clock: str, **files: str) -> None:
        assert findings(tmp_path / f"i{next(numbers)}", rule, clock, files)[1] == []

    return check


def test_started_in_web_process(check_finds: Check, check_ignores: Check) -> None:
    rule, start = "started-in-web-process", "scheduler.start()"
    web = "app = Flask(__name__)\n" + PLAIN + start + "\n"
    check_finds(rule, web, WARNING, "in each of them", line=start)
    check_finds(
        rule, web, ERROR, "every job runs 4 times", Procfile="web: gunicorn -w 4 shop.clock:app\n"
    )
    compose = 'services:\n  web:\n    command: ["gunicorn", "--workers", "2", "shop.clock:app"]\n'
    check_finds(rule, web, ERROR, "compose.yml:3 starts 2 processes", **{"compose.yml": compose})
    config = (
        "from django.apps import AppConfig\nclass Shop(AppConfig):\n    def ready(self):\n       "
        " scheduler.start()\n"
    )
    check_finds(rule, PLAIN + config, WARNING, "in AppConfig.ready")
    check_ignores(
        rule, PLAIN + config.replace("        sch", "        if leader():\n            sch")
    )
    check_ignores(rule, web, Procfile="web: gunicorn -w 1 shop.clock:app\n")
    check_ignores(rule, web, Procfile="web: gunicorn -w 4 --preload shop.clock:app\n")
    check_ignores(rule, PLAIN + start)  # a module of its own may be a process of its own
    check_ignores(rule, web.replace(start, "if first():\n    scheduler.start()"))
    check_ignores(rule, web.replace(start, "if __name__ == '__main__':\n    scheduler.start()"))
    check_ignores(rule, web.replace(start, "with lock():\n    scheduler.start()"))


def test_copied_on_restart(check_finds: Check, check_ignores: Check) -> None:
    rule = "copied-on-restart"
    check_finds(rule, STORED + DAILY, ERROR, "once more", line=DAILY)
    check_finds(rule, STORED + f"def start():\n    {DAILY}\n", WARNING, "once more")
    check_finds(rule, STORED + DAILY.replace("4)", "4, id='sweep')"), ERROR, "ConflictingIdError")
    check_finds(
        rule, PLAIN + "scheduler.add_jobstore('sqlalchemy', url='x')\n" + DAILY, ERROR, "once more"
    )
    named = (
        "stores = {'default': SQLAlchemyJobStore()}\nscheduler ="
        " BackgroundScheduler(jobstores=stores)\n"
    )
    check_finds(rule, named + DAILY, ERROR, "once more")
    check_ignores(rule, STORED + DAILY.replace("4)", "4, id='sweep', replace_existing=True)"))
    check_ignores(rule, PLAIN + DAILY)
    check_ignores(rule, STORED.replace("default", "other") + DAILY)
    check_ignores(rule, STORED + DAILY.replace("4)", "4, jobstore='memory')"))
    check_ignores(rule, STORED + "scheduler.add_job(sweep)")  # added by a request, to be run once


def test_misfire(check_finds: Check, check_ignores: Check) -> None:
    rule = "misfire"
    check_finds(rule, PLAIN + DAILY, WARNING, "is dropped", line=DAILY)
    check_finds(
        rule,
        PLAIN + "scheduler.add_job(sweep, CronTrigger.from_crontab('0 4 * * *'))",
        WARNING,
        "is dropped",
    )
    check_finds(
        rule, PLAIN + "scheduler.add_job(sweep, 'interval', hours=6)", WARNING, "is dropped"
    )
    for defaults in (
        "{'misfire_grace_time': 600}",
        "{'misfire_grace_time': None}",
        "read_settings()",
    ):
        check_ignores(rule, f"scheduler = BackgroundScheduler(job_defaults={defaults})\n" + DAILY)
    check_ignores(rule, PLAIN + DAILY.replace("4)", "4, misfire_grace_time=3600)"))
    check_ignores(rule, PLAIN + DAILY.replace("hour=4", "**options"))
    check_ignores(rule, PLAIN + "scheduler.add_job(sweep, 'interval', minutes=5)")
    check_ignores(rule, PLAIN + "scheduler.add_job(sweep, 'cron', minute='*/5')")
    check_ignores(rule, PLAIN + "scheduler.add_job(sweep, CronTrigger.from_crontab('*/5 * * * *'))")
    check_ignores(rule, "scheduler = BackgroundScheduler(**settings)\n" + DAILY)
    four = "from apscheduler import AsyncScheduler\nscheduler = AsyncScheduler()\n"
    check_ignores(rule, four + "scheduler.add_schedule(sweep, CronTrigger(hour=4))")


def test_piled_up_runs(check_finds: Check, check_ignores: Check) -> None:
    rule, job = (
        "piled-up-runs",
        "scheduler.add_job(sweep, 'interval', minutes=5, misfire_grace_time={}, coalesce={})",
    )
    check_finds(rule, STORED + job.format(3600, False), WARNING, "every 300 s (5 min)")
    check_finds(rule, STORED + job.format(None, False), WARNING, "all made at once")
    check_ignores(rule, STORED + job.format(3600, True))
    check_ignores(rule, STORED + job.format(60, False))
    check_ignores(rule, PLAIN + job.format(3600, False))
    # The default.
    check_ignores(rule, STORED + job.format(3600, True).replace(", coalesce=True", ""))


def test_max_instances(check_finds: Check, check_ignores: Check) -> None:
    rule = "max-instances"
    check_finds(
        rule, PLAIN + DAILY.replace("4)", "4, max_instances=3)"), WARNING, "max_instances is 3"
    )
    check_finds(
        rule,
        "scheduler = BackgroundScheduler(job_defaults={'max_instances': 2})\n" + DAILY,
        WARNING,
        "is 2",
    )
    check_ignores(rule, PLAIN + DAILY)
    check_ignores(rule, PLAIN + "scheduler.add_job(sweep, max_instances=3)")


def test_coroutine_in_threads(check_finds: Check, check_ignores: Check) -> None:
    rule, files = "coroutine-in-threads", {"shop/jobs.py": "async def sweep(): ...\n"}
    check_finds(rule, PLAIN + DAILY, ERROR, "never awaits sweep", line=DAILY, **files)
    check_ignores(rule, PLAIN.replace("Background", "AsyncIO") + DAILY, **files)
    check_ignores(
        rule, PLAIN.replace("()", "(executors={'default': AsyncIOExecutor()})") + DAILY, **files
    )
    check_ignores(rule, PLAIN + DAILY)
    check_ignores(
        rule,
        PLAIN + "def run():\n    asyncio.run(sweep())\nscheduler.add_job(run, 'cron', hour=4)",
        **files,
    )


def test_called_not_added(check_finds: Check, check_ignores: Check) -> None:
    rule, called = "called-not-added", DAILY.replace("sweep,", "sweep(),")
    check_finds(rule, PLAIN + called, ERROR, "runs once, here", line=called)
    check_ignores(rule, PLAIN + DAILY)
    check_ignores(rule, PLAIN + DAILY.replace("sweep,", "lambda: sweep(),"))
    check_ignores(rule, PLAIN + called, **{"shop/jobs.py": "def sweep():\n    return run\n"})


def test_unserializable(check_finds: Check, check_ignores: Check) -> None:
    rule, inline = "unserializable", DAILY.replace("sweep,", "lambda: sweep(),")
    check_finds(rule, STORED + inline, ERROR, "a lambda", line=inline)
    inner = f"def start():\n    def run():\n        sweep()\n    {DAILY.replace('sweep', 'run')}\n"
    check_finds(rule, STORED + inner, ERROR, "an inner function")
    check_ignores(rule, STORED + DAILY)
    check_ignores(rule, PLAIN + inline)
    check_ignores(rule, PLAIN + inner)


def test_daylight_saving(check_finds: Check, check_ignores: Check) -> None:
    rule, job = "daylight-saving", "scheduler.add_job(sweep, 'cron', hour={}, timezone='{}')"
    check_finds(rule, PLAIN + job.format(2, "Europe/Berlin"), WARNING, "2 o'clock in Europe/Berlin")
    zoned = (
        "scheduler = BackgroundScheduler(timezone='America/New_York')\nscheduler.add_job(sweep,"
        " CronTrigger(hour=1))"
    )
    check_finds(rule, zoned, WARNING, "1 o'clock")
    check_ignores(rule, PLAIN + job.format(2, "UTC"))
    check_ignores(rule, PLAIN + job.format(4, "Europe/Berlin"))
    check_ignores(rule, PLAIN + job.format(2, "Asia/Tokyo"))
    check_ignores(rule, PLAIN + "scheduler.add_job(sweep, 'cron', hour=2)")


def test_rules_of_callables_carry_this_name(check_finds: Check, check_ignores: Check) -> None:
    rows = (
        "from shop import mailer\ndef sweep():\n    for row in db.execute('SELECT id FROM m WHERE"
        " sent = 0'):\n"
    )
    marked = "        db.execute('UPDATE m SET sent = 1 WHERE id = ?', row)\n        db.commit()\n"
    jobs = rows + marked + "        mailer.send(row)\n"
    check_finds("unlocked-poll", PLAIN + DAILY, NOTE, "two runs at once", **{"shop/jobs.py": jobs})
    check_finds(
        "marked-before-effect", PLAIN + DAILY, WARNING, "never done", **{"shop/jobs.py": jobs}
    )
    check_ignores(
        "marked-before-effect",
        PLAIN + DAILY,
        **{"shop/jobs.py": rows + "        mailer.send(row)\n" + marked},
    )


def test_the_defaults_are_those_of_the_library() -> None:
    background = pytest.importorskip("apscheduler.schedulers.background")
    scheduler = background.BackgroundScheduler()
    scheduler.start(paused=True)
    added = scheduler.add_job(print, "cron", hour=3)
    scheduler.shutdown(wait=False)
    assert {name: getattr(added, name) for name in DEFAULTS} == DEFAULTS


def test_every_rule_is_tried_here(tmp_path: Path) -> None:
    tried = Path(__file__).read_text()
    shared = {
        "marked-after-batch",
        "failed-marked-done",
        "check-then-act",
        "select-for-update-outside-transaction",
    }
    slugs = {rule.id.partition(".")[2] for rule in apscheduler.list_rules()} - shared
    assert all(f'"{slug}"' in tried for slug in slugs)

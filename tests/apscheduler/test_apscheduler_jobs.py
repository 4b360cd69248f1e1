"""APScheduler: when it is in use, and the places that schedule a function."""

from __future__ import annotations

import textwrap
from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.apscheduler import FRAMEWORK as apscheduler
from skillrun.frameworks.apscheduler.recognise import APSchedulerRecogniser
from skillrun.frameworks.interface import (
    Send,
)
from skillrun.repo.python import Project
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

MADE = "from apscheduler.schedulers.background import BackgroundScheduler\n"
CLOCK = MADE + "from shop.jobs import sweep\nscheduler = BackgroundScheduler()\n"
JOBS = "def sweep(): ...\n"
ADD = "scheduler.add_job(sweep, 'cron', hour=3)\n"
OWN = "class Clock:\n    def start(self):\n        self._scheduler = BackgroundScheduler()\n"
FLASK = "from flask_apscheduler import APScheduler\nsched = APScheduler()\n"
NEEDS = {"requirements.txt": "APScheduler>=3.10\n"}


def use_of(root: Path, files: dict[str, str]) -> FrameworkUse | None:
    helpers.build_tree(root, {"shop/jobs.py": JOBS, **files})
    return survey_tree(Tree(root), [APSchedulerRecogniser()]).use("apscheduler")


USED = {
    "variable": ({**NEEDS, "shop/clock.py": CLOCK + ADD}, "shop/clock.py:scheduler"),
    "class": (
        {**NEEDS, "shop/clock.py": MADE + OWN},
        "shop/clock.py:Clock",
    ),
    "factory": (
        {**NEEDS, "shop/clock.py": MADE + "def make():\n    return BackgroundScheduler()\n"},
        "shop/clock.py:make",
    ),
    "flask": (
        {"Pipfile": '[packages]\nflask-apscheduler = "*"\n', "app.py": FLASK},
        "app.py:sched",
    ),
    "undeclared": ({"shop/clock.py": CLOCK}, "shop/clock.py:scheduler"),
    "the extra of a process": (
        {
            "pyproject.toml": (
                '[project]\nname = "x"\n[project.optional-dependencies]\nscheduler ='
                ' ["apscheduler"]\n'
            ),
            "x/clock.py": CLOCK,
        },
        "x/clock.py:scheduler",
    ),
    "version 4": (
        {
            **NEEDS,
            "shop/clock.py": (
                "from apscheduler import AsyncScheduler\nscheduler = AsyncScheduler()\n"
            ),
        },
        "shop/clock.py:scheduler",
    ),
}
UNUSED = {
    "installed": NEEDS,
    "a trigger alone": {
        **NEEDS,
        "shop/cron.py": "from apscheduler.triggers.cron import CronTrigger\nCronTrigger()\n",
    },
    "tests": {**NEEDS, "tests/test_clock.py": CLOCK},
    "an example": {**NEEDS, "examples/clock.py": CLOCK},
    "an extra": {
        "pyproject.toml": (
            '[project]\nname = "x"\n[project.optional-dependencies]\njobs = ["apscheduler"]\n'
        ),
        "x/jobqueue.py": CLOCK,
    },
    "a plug-in": {"x/integrations/clock.py": CLOCK},
    "own class": {
        **NEEDS,
        "shop/clock.py": "from shop.own import Scheduler\nscheduler = Scheduler()\n",
    },
}


@pytest.mark.parametrize("what", USED)
def test_it_is_used(tmp_path: Path, what: str) -> None:
    files, app = USED[what]
    use = use_of(tmp_path / "r", files)
    assert use is not None
    assert use.app == app
    assert use.scheduler == "apscheduler"
    assert use.evidence


@pytest.mark.parametrize("what", UNUSED)
def test_it_is_not_used(tmp_path: Path, what: str) -> None:
    assert use_of(tmp_path / "r", UNUSED[what]) is None


def test_the_scheduler_with_most_jobs_comes_first(tmp_path: Path) -> None:
    files = {
        **NEEDS,
        "shop/a.py": CLOCK + ADD,
        "shop/b.py": CLOCK + ADD + ADD,
        "shop/c.py": "from shop.b import scheduler\n" + ADD,
    }
    use = use_of(tmp_path / "r", files)
    assert use is not None
    assert use.apps == ("shop/b.py:scheduler", "shop/a.py:scheduler")
    assert use.task_modules == ("shop/a.py", "shop/b.py", "shop/c.py")


def wired(root: Path, clock: str, jobs: str = JOBS, **files: str) -> list[Send]:
    helpers.build_tree(
        root, {"shop/jobs.py": jobs, "shop/clock.py": CLOCK + textwrap.dedent(clock), **files}
    )
    project, use = Project(Tree(root)), FrameworkUse("apscheduler", app="shop/clock.py:scheduler")
    handler = apscheduler.find_handler(project, use, "shop.jobs:sweep")
    assert handler is not None
    found = apscheduler.find_sends(project, use, handler)
    registered = apscheduler.find_registration(project, use, handler)
    assert registered is not None
    assert (registered.path == "shop/jobs.py") == (
        not [w for w in found if w.place.path != "shop/jobs.py" and not w.in_tests]
    )
    return list(found)


SCHEDULED = {
    "add_job": ("scheduler.add_job(sweep, 'cron', hour=3)", "schedule", "add_job(..., 'cron')"),
    "keyword": (
        "scheduler.add_job(func=sweep, trigger='interval', minutes=5)",
        "schedule",
        "add_job(..., 'interval')",
    ),
    "trigger object": (
        "scheduler.add_job(sweep, CronTrigger(hour=3))",
        "schedule",
        "add_job(..., 'CronTrigger')",
    ),
    "variable": ("scheduler.add_job(sweep, trigger)", "schedule", "add_job(..., '?')"),
    "once": ("scheduler.add_job(sweep)", "enqueue", "add_job(...)"),
    "date": ("scheduler.add_job(sweep, 'date', run_date=when)", "enqueue", "add_job(..., 'date')"),
    "text": (
        "scheduler.add_job('shop.jobs:sweep', 'cron', hour=3)",
        "schedule",
        "add_job(..., 'cron')",
    ),
    "lambda": (
        "scheduler.add_job(lambda: sweep(), 'cron', hour=3)",
        "schedule",
        "add_job(..., 'cron')",
    ),
    "partial": (
        "scheduler.add_job(partial(sweep, 1), 'cron', hour=3)",
        "schedule",
        "add_job(..., 'cron')",
    ),
    "caller": (
        "def tick():\n    sweep()\nscheduler.add_job(tick, 'cron', hour=3)",
        "schedule",
        "add_job(..., 'cron')",
    ),
    "decorated": (
        "@scheduler.scheduled_job('cron', hour=3)\ndef tick():\n    sweep()",
        "schedule",
        "scheduled_job(..., 'cron')",
    ),
    "version 4": (
        "scheduler.add_schedule(sweep, CronTrigger(hour=3))",
        "schedule",
        "add_schedule(..., 'CronTrigger')",
    ),
    "flask": (
        "JOBS = [{'id': 'a', 'func': 'shop.jobs:sweep', 'trigger': 'cron'}]",
        "schedule",
        "JOBS(..., 'cron')",
    ),
}


@pytest.mark.parametrize("what", SCHEDULED)
def test_wiring(tmp_path: Path, what: str) -> None:
    clock, kind, how = SCHEDULED[what]
    (wiring,) = wired(tmp_path / "r", clock)
    assert (wiring.kind, wiring.how, wiring.in_tests, wiring.place.path) == (
        kind,
        how,
        False,
        "shop/clock.py",
    )


def test_decorated_wiring(tmp_path: Path) -> None:
    jobs = (
        "from shop.sched import scheduler\n@scheduler.task('interval', seconds=30)\ndef sweep():"
        " ...\n"
    )
    assert [(w.kind, w.how) for w in wired(tmp_path / "r", "", jobs)] == [
        ("schedule", "task(..., 'interval')")
    ]


def test_what_is_no_wiring(tmp_path: Path) -> None:
    assert wired(tmp_path / "a", "scheduler.add_job(other, 'cron', args=[sweep])") == []
    assert wired(tmp_path / "b", "sweep()") == []
    assert wired(tmp_path / "c", "pool.submit(sweep)") == []
    test = CLOCK + "def test_x():\n    scheduler.add_job(sweep, 'cron', hour=3)\n"
    assert [w.in_tests for w in wired(tmp_path / "d", "", **{"tests/test_clock.py": test})] == [
        True
    ]


def test_listeners(tmp_path: Path) -> None:
    text = """
        from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
        def failed(event):
            db.execute("INSERT INTO dead_jobs VALUES (?)", event.job_id)
        def done(event): ...
        scheduler.add_listener(failed, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        scheduler.add_listener(done, EVENT_JOB_EXECUTED)
        other.add_listener(print)
        """
    root = tmp_path / "r"
    wired(root, text)
    project, use = Project(Tree(root)), FrameworkUse("apscheduler")
    handler = apscheduler.find_handler(project, use, "shop.jobs:sweep")
    assert handler is not None
    hooks = apscheduler.find_hooks(project, use, handler)
    assert {event: hook.name for event, hook in hooks.items()} == {
        "failed": "failed",
        "succeeded": "done",
    }
    policy = apscheduler.read_policy(project, use, handler)
    assert policy.dead_letter is not None
    assert "dead_jobs" in policy.dead_letter.text
    assert policy.max_attempts == 1

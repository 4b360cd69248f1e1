"""Is RQ in use, and where? In pairs: repositories in which it is found, and ones in which it is
ignored.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.rq import FRAMEWORK
from skillrun.frameworks.rq.workers import find_launches
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

REQUIRED = {"requirements.txt": "rq==2.6\n"}
QUEUE = (
    "from redis import Redis\nfrom rq import Queue\n\nqueue = Queue('default',"
    " connection=Redis())\n"
)
TASKS = "def send(): ...\n"
ENQUEUE = (
    "from shop.queues import queue\nfrom shop.tasks import send\n\ndef settle():\n   "
    " queue.enqueue(send)\n"
)
DECORATED = (
    "from rq.decorators import job\nfrom shop.queues import queue\n\n@job(queue)\ndef send(): ...\n"
)
SHOP = {"shop/queues.py": QUEUE, "shop/orders.py": ENQUEUE, "shop/tasks.py": TASKS}
SETTINGS = {"proj/settings.py": "RQ_QUEUES = {'default': {}}\n", "requirements.txt": "django-rq\n"}


def use_in(root: Path, files: dict[str, str]) -> FrameworkUse | None:
    return survey_tree(Tree(helpers.build_tree(root, files)), [FRAMEWORK.recogniser()]).use("rq")


def check_finds(
    root: Path, files: dict[str, str], app: str | None, *task_modules: str
) -> FrameworkUse:
    """RQ is in use, with this app and exactly these task modules."""
    use = use_in(root, REQUIRED | files)
    assert use is not None
    assert (use.app, use.task_modules, use.broker) == (app, task_modules, "redis")
    return use


def check_ignores(root: Path, files: dict[str, str]) -> None:
    """RQ is not in use."""
    assert use_in(root, files) is None


def test_a_queue_and_what_is_enqueued(tmp_path: Path) -> None:
    use = check_finds(tmp_path, SHOP, "shop/queues.py:queue", "shop/orders.py", "shop/tasks.py")
    shown = {f"{place.path}:{place.line}: {place.text}" for place in use.evidence}
    assert {
        "requirements.txt:1: rq==2.6",
        "shop/queues.py:4: queue = Queue('default', connection=Redis())",
        "shop/orders.py:5: queue.enqueue(send)",
    } <= shown


APPS = {
    "subclass": ({"q.py": "from rq import Queue\nclass Own(Queue): ...\nq = Own('x')\n"}, "q.py:q"),
    "a class elsewhere": (
        {
            "own.py": "from rq import Queue\nclass Own(Queue): ...\n",
            "q.py": "from own import Own\nq = Own()\nq.enqueue(f)\n",
        },
        "q.py:q",
    ),
    "django": (
        {**SETTINGS, "shop/x.py": "import django_rq\ndjango_rq.enqueue(f)\n"},
        "proj/settings.py:RQ_QUEUES",
    ),
    "flask": ({"shop/__init__.py": "from flask_rq2 import RQ\nrq = RQ()\n"}, "shop/__init__.py:rq"),
    "only classes": (
        {
            "q.py": "from rq import Queue\nclass Base(Queue): ...\nclass Own(Base): ...\n",
            "jobs.py": "from rq.decorators import job\n@job('x')\ndef f(): ...\n",
        },
        "q.py:Own",
    ),
    "a class, and functions that make one": (
        {
            "own.py": "from rq import Queue as Base\nclass Queue(Base): ...\n",
            "a.py": "from own import Queue\ndef put(f):\n    q = Queue('x')\n    q.enqueue(f)\n",
        },
        "own.py:Queue",
    ),
    "only functions": (
        {"shop/q.py": "from rq import Queue\ndef get(r):\n    return Queue('a', connection=r)\n"},
        "shop/q.py",
    ),
}


@pytest.mark.parametrize("name", APPS)
def test_finds_the_app(tmp_path: Path, name: str) -> None:
    files, app = APPS[name]
    use = use_in(tmp_path, REQUIRED | files)
    assert use is not None
    assert use.app == app


TASK_FILES = {
    "decorated": DECORATED,
    "django": "from django_rq import job\n@job('high')\ndef f(): ...\n",
    "django, bare": "import django_rq\n@django_rq.job\ndef f(): ...\n",
    "enqueued beside": (
        "from shop.queues import queue\ndef f(): ...\nqueue.enqueue_call(f, args=(1,))\n"
    ),
    "in": "from shop.queues import queue\nfrom .jobs import f\nqueue.enqueue_in(delta, f)\n",
    "own queue": "from rq import Queue\ndef f():\n    Queue(connection=r).enqueue(f)\n",
    "own decorator": (
        "from rq.decorators import job\nclass own(job): ...\n@own('x')\ndef f(): ...\n"
    ),
    "partial": (
        "from functools import partial\nfrom rq.decorators import job as rq_job\nclass own(rq_job):"
        " ...\njob = partial(own, connection=r)\n@job('x')\ndef f(): ...\n"
    ),
    "cron": (
        "from rq import cron\nfrom shop.jobs import f\ncron.register(f, 'default', interval=60)\n"
    ),
}


@pytest.mark.parametrize("name", TASK_FILES)
def test_finds_tasks(tmp_path: Path, name: str) -> None:
    files = {"shop/queues.py": QUEUE, "shop/jobs.py": TASK_FILES[name]}
    use = check_finds(tmp_path, files, "shop/queues.py:queue", "shop/jobs.py")
    assert use.scheduler == ("rq cron" if name == "cron" else None)


@pytest.mark.parametrize(
    ("asked", "scheduler"),
    [
        ("import django_rq\nscheduler = django_rq.get_scheduler('default')\n", "rq-scheduler"),
        ("from django_rq import get_scheduler\nscheduler = get_scheduler()\n", "rq-scheduler"),
        (
            "from rq_scheduler import Scheduler\nscheduler = Scheduler(connection=r)\n",
            "rq-scheduler",
        ),
        ("import django_rq\nqueue = django_rq.get_queue('default')\n", None),
    ],
)
def test_finds_the_scheduler(tmp_path: Path, asked: str, scheduler: str | None) -> None:
    use = use_in(
        tmp_path,
        REQUIRED | {"shop/queues.py": QUEUE, "shop/jobs.py": DECORATED, "shop/when.py": asked},
    )
    assert use is not None
    assert use.scheduler == scheduler


def test_functions_by_name_and_through_a_flask_object(tmp_path: Path) -> None:
    named = "from rq import Queue\nQueue(connection=r).enqueue('shop.tasks.send')\n"
    check_finds(
        tmp_path / "name", {"a.py": named, "shop/tasks.py": TASKS}, None, "a.py", "shop/tasks.py"
    )
    flask = {"shop/__init__.py": "from flask_rq import RQ\nrq = RQ()\n"}
    flask["shop/jobs.py"] = "from . import rq\n@rq.job(queue='x')\ndef f(): ...\n"
    check_finds(tmp_path / "flask", flask, "shop/__init__.py:rq", "shop/jobs.py")


NO_TASKS = {
    "another queue": "from shop.huey import queue\nqueue.enqueue(f)\n",
    "another job": "from invoke import job\n@job\ndef f(): ...\n",
    "a method of a class": (
        "from rq.job import Job\nfrom shop.models import Report\nReport.enqueue(f)\n"
    ),
    "partial of another": (
        "from functools import partial\nimport rq\njob = partial(print, 1)\n@job\ndef f(): ...\n"
    ),
    "comments and text": "# from rq import Queue\nX = 'queue.enqueue(f)'\n",
}


@pytest.mark.parametrize("name", NO_TASKS)
def test_ignores_what_is_no_task(tmp_path: Path, name: str) -> None:
    check_finds(
        tmp_path, {"shop/queues.py": QUEUE, "shop/jobs.py": NO_TASKS[name]}, "shop/queues.py:queue"
    )


LAUNCHERS = {
    "rq worker high default": ("worker", False),
    "w: rqworker --with-scheduler": ("worker", True),
    "command=/opt/venv/bin/rq worker -s": ("worker", True),
    "ExecStart=/opt/bin/python /opt/manage.py rqworker --with-scheduler high": ("worker", True),
    "  command: ['rq', 'worker-pool', '-n', '3']": ("worker", False),
    "exec rq \\\n  worker \\\n  -bs": ("worker", True),
    "rq cron cron_config.py": ("cron", False),
    "rqscheduler -i 10": ("scheduler", False),
    "rq worker high && rm -s": ("worker", False),
    "rq worker -ds random": ("worker", False),
}


@pytest.mark.parametrize("text", LAUNCHERS)
def test_command_lines(text: str) -> None:
    (launch,) = find_launches(text)
    assert (launch.mode, launch.schedules) == LAUNCHERS[text]


def test_other_command_lines() -> None:
    assert (
        list(
            find_launches("# rq worker\nrq info\npip install rq\nmake rq-worker\nrq enqueue a.b\n")
        )
        == []
    )


SENTRY = (
    "from rq.queue import Queue\nold = Queue.enqueue_job\ndef new(*a): ...\nQueue.enqueue_job ="
    " new\n"
)
IGNORED: dict[str, dict[str, str]] = {
    "only declared": {**REQUIRED, "shop/views.py": "x = 1\n"},
    "only started": {"Procfile": "worker: rq worker\n"},
    "only tests": {**REQUIRED, "tests/q.py": QUEUE, "shop/test_x.py": QUEUE, "conftest.py": QUEUE},
    "only documentation": {**REQUIRED, "docs/q.py": QUEUE, "README.md": QUEUE},
    "an instrumentation": {
        "pyproject.toml": "[project]\nname = 'x'\ndependencies = ['urllib3']\n",
        "sdk/integrations/rq.py": SENTRY,
    },
    "an optional backend": {
        "pyproject.toml": "[project]\nname = 'x'\n[project.optional-dependencies]\nrq = ['rq']\n",
        "lib/backends/q.py": QUEUE,
    },
    "only monitored": {
        **REQUIRED,
        "shop/x.py": "from rq import Worker\nfrom rq.job import Job\nWorker.count()\n",
    },
    "only a class": {**REQUIRED, "shop/x.py": "from rq import Queue\nclass Own(Queue): ...\n"},
    "vendored": {**REQUIRED, "vendor/x/q.py": QUEUE},
    "the library itself": {"rq/__init__.py": "from .queue import Queue\n", "rq/queue.py": QUEUE},
    "another Queue": {"shop/q.py": "from queue import Queue\nqueue = Queue()\nqueue.enqueue(f)\n"},
    "a template": {
        "{{cookiecutter.slug}}/q.py": QUEUE,
        "{{cookiecutter.slug}}/requirements.txt": "rq\n",
    },
}


@pytest.mark.parametrize("name", IGNORED)
def test_ignores(tmp_path: Path, name: str) -> None:
    check_ignores(tmp_path, IGNORED[name])


def test_a_queue_that_is_called_like_a_module_names_no_app(tmp_path: Path) -> None:
    """Neither leads by the worker's command: the one that is used more does."""
    made = "from rq import Queue\ndef get(r):\n    q = Queue('a', connection=r)\n    return q\n"
    files = REQUIRED | {
        "shop/mail.py": made,
        "shop/queues.py": made + made.replace("get", "more"),
        "Procfile": "worker: rq worker mail\n",
    }
    use = use_in(tmp_path, files)
    assert use is not None
    assert use.apps == ("shop/queues.py", "shop/mail.py")


def test_an_undeclared_library_counts_where_a_queue_is_made(tmp_path: Path) -> None:
    use = use_in(tmp_path, {"requirements.txt": "flask\n", **SHOP})
    assert use is not None
    assert use.app == "shop/queues.py:queue"

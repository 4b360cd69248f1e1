"""The job that a scaffold writes for RQ: its names, its form, its retries and callback, and its own
tests.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import helpers
import pytest
import samples
from samples import Combination
from writing import case_of, write

from skillrun.frameworks.pieces import Retries
from skillrun.frameworks.rq.scaffold import problems
from skillrun.skills.job_worker.scaffold.plan import plan

TASKS = "shop/tasks.py"
BASE = Combination("rq")


@pytest.mark.real
def test_the_handler_its_callback_and_its_publisher_stand_beside_the_other_jobs(
    tmp_path: Path,
) -> None:
    written = write(tmp_path, BASE)
    assert {"sweep", "send_receipt", "send_receipt_failed", "enqueue_send_receipt"} <= {
        *written.names(TASKS)
    }
    assert written.run("ruff", "check", "shop", "tests").stdout == "All checks passed!\n"
    assert written.run("ruff", "format", "--check", "shop").returncode == 0


def test_waits_are_those_of_the_spec_and_are_drawn_anew_after_a_failure(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "SEND_RECEIPT_WAITS = [2, 4, 8]" in text
    assert "retry=Retry(max=3, interval=SEND_RECEIPT_WAITS)," in text
    assert "random.randint(wait // 2, wait) for wait in SEND_RECEIPT_WAITS" in text


def test_no_retry_says_why(tmp_path: Path) -> None:
    text = write(tmp_path, Combination("rq", retry=False)).text(TASKS)
    assert "# No retry: Somebody looks at each failure." in text
    assert "Retry" not in text.replace("No retry", "")


TASK = "def sweep() -> None: ...\n"
REDIS = "from redis import Redis\n\nconnection = Redis()\n"
QUEUES = {
    "a Flask app's": (
        {
            "shop/queues.py": (
                "import rq\nfrom flask import Flask\nfrom redis import Redis\n\n\ndef"
                " create_app():\n    app = Flask(__name__)\n    app.task_queue = rq.Queue('shop',"
                " connection=Redis())\n    return app\n"
            ),
            "shop/tasks.py": TASK,
        },
        "current_app.task_queue.enqueue(",
    ),
    "a function makes it": (
        {
            "shop/queues.py": (
                "import rq\nfrom redis import Redis\n\n\ndef get_queue(name='mail'):\n"
                "    return rq.Queue(name, connection=Redis())\n"
            ),
            "shop/tasks.py": (
                f"from shop.queues import get_queue\n\n\n{TASK}\n\ndef later() -> None:\n"
                "    get_queue().enqueue(sweep)\n"
            ),
        },
        "get_queue().enqueue(",
    ),
    "decorators name it": (
        {
            "shop/queues.py": REDIS,
            "shop/tasks.py": (
                "from rq.decorators import job\n\nfrom shop.queues import connection\n\n\n"
                f'@job("mail", connection=connection, timeout=60)\n{TASK}'
            ),
        },
        'Queue("mail", connection=connection).enqueue(',
    ),
    "django-rq's": (
        {
            "shop/queues.py": "RQ_QUEUES = {'default': {'URL': 'redis://localhost'}}\n",
            "shop/tasks.py": f"import django_rq\n\n\n@django_rq.job\n{TASK}",
        },
        'django_rq.get_queue("default").enqueue(',
    ),
    "Flask-RQ's": (
        {
            "shop/queues.py": "from flask_rq2 import RQ\n\nrq = RQ()\n",
            "shop/tasks.py": f"from shop.queues import rq\n\n\n@rq.job\n{TASK}",
        },
        "rq.get_queue().enqueue(",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("which", QUEUES)
def test_the_queue_is_the_one_that_the_repository_has(tmp_path: Path, which: str) -> None:
    files, call = QUEUES[which]
    written = write(tmp_path, BASE, files)
    assert call in written.text(TASKS)
    assert "F821" not in written.run("ruff", "check", "shop").stdout  # every name is imported


APP = (
    "import pytest\n\nfrom shop.queues import create_app\n\n\n@pytest.fixture\ndef app():\n   "
    " yield create_app()\n"
)
CONTEXTS = {
    "the fixture of their tests": (
        {"tests/conftest.py": APP},
        "def app_context(app):\n    with app.app_context():",
    ),
    "the factory": ({}, "def app_context():\n    with create_app().app_context():"),
    "a fixture of another folder": (
        {"api/conftest.py": APP},
        "def app_context():\n    with create_app().app_context():",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("which", CONTEXTS)
def test_tests_have_the_app_whose_queue_it_is(tmp_path: Path, which: str) -> None:
    files, context = CONTEXTS[which]
    written = write(tmp_path, BASE, {**QUEUES["a Flask app's"][0], **files})
    assert context in written.text("tests/test_send_receipt.py")
    done = written.run("pytest", "-q", "tests")
    assert done.returncode == 0, done.stdout


def test_tests_have_no_context_where_the_queue_needs_none(tmp_path: Path) -> None:
    assert "app_context" not in write(tmp_path, BASE, {"tests/conftest.py": APP}).text(
        "tests/test_send_receipt.py"
    )


@pytest.mark.real
def test_a_schedule_starts_the_tick_and_rq_can_load_it(tmp_path: Path) -> None:
    written = write(tmp_path, Combination("rq", trigger="cron"))
    load = (
        "from rq.cron import CronScheduler as C; c = C(None);"
        " c.load_config_from_file('shop.schedule')"
    )
    seen = written.run(
        "-c", f"{load}; print([(j.func_name, j.queue_name, j.cron) for j in c.get_jobs()])"
    )
    assert "[('shop.tasks.tick_send_receipt', 'shop', '*/5 * * * *')]\n" in seen.stdout, seen.stderr
    polled = write(
        tmp_path / "polled", Combination("rq", trigger="poller", message="payload")
    ).text("shop/schedule.py")
    assert "cron.register(tick_send_receipt, queue.name, interval=60)" in polled


@pytest.mark.real
def test_notes_say_who_publishes_what_the_clock_starts(tmp_path: Path) -> None:
    written = write(
        tmp_path, Combination("rq", trigger="cron"), {"docs/operations.md": "# Operations\n"}
    )
    assert "published by `shop.tasks:enqueue_send_receipt`." in written.text("docs/operations.md")


def test_the_entry_joins_the_schedule_that_is_there(tmp_path: Path) -> None:
    there = (
        "from rq import cron\n\nfrom shop.tasks import sweep\n\ncron.register(sweep, 'shop',"
        " interval=60)\n"
    )
    written = write(tmp_path, Combination("rq", trigger="cron"), {"jobs/crontab.py": there})
    assert "cron.register(tick_send_receipt," in written.text("jobs/crontab.py")
    assert not (written.root / "shop/schedule.py").exists()


NO_QUEUE = {"shop/queues.py": "", "shop/tasks.py": '"""Background jobs."""\n'}


def test_in_django_it_is_published_after_the_commit(tmp_path: Path) -> None:
    settings = {"config/settings.py": 'INSTALLED_APPS = ["shop"]\n'}
    files = {**QUEUES["django-rq's"][0], **settings}
    text = write(tmp_path, Combination("rq", store="receiver", dead="framework"), files).text(TASKS)
    tail = text.partition("def enqueue_send_receipt(")[2]
    assert "    def publish() -> None:\n        django_rq.get_queue(" in tail
    assert tail.rstrip().endswith("    transaction.on_commit(publish)")
    assert "It waits for the commit of the open transaction." in tail
    assert "from django.db import transaction" in text.splitlines()


IN_A_FUNCTION = {
    "a connection": (
        (
            "from redis import Redis\nfrom rq import Queue\n\nconn = Redis()\n\n\n"
            "def publish(task):\n    q = Queue('mail', connection=conn)\n    q.enqueue(task)\n"
        ),
        'Queue("mail", connection=conn).enqueue(',
        "from shop.views import conn",
    ),
    "a connection around it": (
        (
            "import os\n\nimport redis\nfrom rq import Connection, Queue\n\n\n"
            'def publish(task):\n    with Connection(redis.from_url(os.environ["REDIS_URL"])):\n'
            "        Queue().enqueue(task)\n"
        ),
        'Queue(connection=redis.from_url(os.environ["REDIS_URL"])).enqueue(',
        "import redis",
    ),
}


@pytest.mark.parametrize("name", IN_A_FUNCTION)
def test_a_queue_that_functions_make_is_made_in_the_same_way(tmp_path: Path, name: str) -> None:
    views, expression, imported = IN_A_FUNCTION[name]
    written = write(tmp_path, BASE, {**NO_QUEUE, "shop/views.py": views})
    assert expression in written.text(TASKS)
    assert imported in written.text(TASKS).splitlines()


@pytest.mark.parametrize(
    "own", ["conn = Redis()", "from flask import current_app\n    conn = current_app.redis"]
)
def test_a_queue_of_a_functions_own_connection_cannot_be_made_elsewhere(
    tmp_path: Path, own: str
) -> None:
    head = "from redis import Redis\nfrom rq import Queue\n\n\n"
    views = f"{head}def publish(task):\n    {own}\n    Queue(connection=conn).enqueue(task)\n"
    files = {**samples.files(BASE), **NO_QUEUE, "shop/views.py": views}
    made = plan(case_of(helpers.build_tree(tmp_path / "repo", files)))
    assert "no RQ queue was found" in " ".join(finding.message for finding in made.missing)


PROCFILE = (
    "web: gunicorn shop\nworker: rq worker -u $REDIS_URL mail\nbulk: /venv/bin/rqworker bulk\n"
)


@pytest.mark.real
def test_workers_are_started_with_the_scheduler_that_waits_need(tmp_path: Path) -> None:
    written = write(tmp_path, BASE, {"Procfile": PROCFILE})
    assert (
        written.text("Procfile")
        == "web: gunicorn shop\nworker: rq worker --with-scheduler -u $REDIS_URL mail\n"
        "bulk: /venv/bin/rqworker --with-scheduler bulk\n"
    )
    assert plan(case_of(written.root)).changes == ()


@pytest.mark.parametrize("which", ("nothing is tried again", "one of them has it"))
def test_a_worker_that_needs_no_scheduler_is_left_alone(tmp_path: Path, which: str) -> None:
    none = which == "nothing is tried again"
    text = PROCFILE if none else f"{PROCFILE}other: rq worker --with-scheduler other\n"
    assert (
        write(tmp_path, Combination("rq", retry=not none), {"Procfile": text}).text("Procfile")
        == text
    )


def test_a_queue_of_dead_letters_and_waits_of_half_a_second_are_not_to_be_had(
    tmp_path: Path,
) -> None:
    facts = SimpleNamespace(
        of_library={"queue": "queue"},
        dead_letter="queue",
        retries=Retries(delays=(0.5, 1.0)),
        fields=(),
        effects=(),
    )
    assert [text.partition(":")[0] for text in problems(facts)] == [  # type: ignore[arg-type]
        "RQ has no queue of dead letters",
        "RQ waits whole seconds",
    ]


@pytest.mark.parametrize(
    ("guarantee", "refused"), [("at_least_once", True), ("at_most_once", False)]
)
def test_one_attempt_and_no_dead_letter_is_for_what_may_be_lost(
    tmp_path: Path, guarantee: str, refused: bool
) -> None:
    combination = Combination("rq", retry=False, dead="none", effect=guarantee)
    made = plan(case_of(helpers.build_tree(tmp_path / "repo", samples.files(combination))))
    assert any("a worker that dies" in finding.message for finding in made.missing) is refused
    assert bool(made.changes) is not refused


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [BASE, Combination("rq", retry=False, message="payload", dead="framework")],
    ids=str,
)
def test_its_own_tests_are_green_and_notice_a_lost_effect(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    done = written.run("pytest", "-q", "tests")
    assert done.returncode == 0, done.stdout
    text = written.text(TASKS)
    (written.root / TASKS).write_text(text.replace("mailer.send(", "print("))
    assert written.run("pytest", "-q", "tests").returncode == 1


@pytest.mark.real
def test_its_own_tests_ask_no_server(tmp_path: Path) -> None:
    """RQ before 2 tells Redis of each attempt: `Job.perform` begins so there."""
    written = write(tmp_path, BASE)
    older = (
        "import pytest\nfrom rq.job import Job\n\nperform = Job.perform\n\n\ndef older(job):\n"
        "    job.connection.persist(job.key)\n    return perform(job)\n\n\nJob.perform = older\n"
    )
    (written.root / "conftest.py").write_text(older)
    done = written.run("pytest", "-q", "tests")
    assert done.returncode == 0, done.stdout

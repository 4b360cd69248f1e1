"""A job that the branch publishes to a queue which no worker of the repository takes from."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from looks import SPEC, SPEC_TEXT, found, severities
from verifying import branch, verify

JOB = SPEC_TEXT.replace("shop.tasks:send_receipt", "shop.jobs:send")
CELERY = """
    from celery import Celery

    app = Celery("shop")
    app.conf.task_routes = {"shop.jobs.other": {"queue": "slow"}}

    @app.task(queue="mail")
    def send(order_id):
        pass

    @app.task
    def other():
        pass
    """
SENT = """
    from shop.jobs import send

    def settle(order_id):
        send.apply_async(args=[order_id], queue="mail")
    """
DRAMATIQ = """
    import dramatiq

    QUEUE = "mail"

    @dramatiq.actor(queue_name=QUEUE)
    def send(order_id):
        pass
    """
RQ = """
    def send(order_id):
        pass
    """
RQ_SENT = """
    from redis import Redis
    from rq import Queue
    from shop.jobs import send

    def queue():
        return Queue("mail", connection=Redis())

    def settle(order_id):
        queue().enqueue(send, order_id)
    """
PROCRASTINATE = """
    import procrastinate

    app = procrastinate.App(connector=None)

    @app.task(queue="mail")
    def send(order_id):
        pass
    """
ARQ = """
    async def send(ctx, order_id):
        pass

    class WorkerSettings:
        functions = [send]
        queue_name = "mail"
    """
ARQ_SENT = """
    async def settle(pool, order_id):
        await pool.enqueue_job("send", order_id, _queue_name="mail")
    """
Side = dict[str, str]


def make(jobs: str, worker: str, sender: str = "") -> Side:
    return {
        SPEC: JOB,
        "shop/__init__.py": "",
        "shop/jobs.py": jobs,
        "shop/orders.py": sender,
        "Procfile": f"worker: {worker}\nweb: gunicorn shop.web\n",
    }


PLAIN = CELERY.replace('queue="mail"', "acks_late=True")
LIBRARIES = {
    "celery, the task": make(CELERY, "celery -A shop.jobs worker -Q mail"),
    "celery, where it is sent": make(PLAIN, "celery -A shop.jobs worker -Q mail", SENT),
    "dramatiq": make(DRAMATIQ, "dramatiq shop.jobs --threads 8 --queues mail"),
    "rq": make(RQ, "rq worker mail --url redis://cache", RQ_SENT),
    "procrastinate": make(PROCRASTINATE, "procrastinate --app=shop.jobs.app worker --queues=mail"),
    "arq": make(ARQ, "arq shop.jobs.WorkerSettings", ARQ_SENT),
}
SENDERS = {"celery, where it is sent", "rq", "arq"}


def rename(side: Side, name: str) -> Side:
    """The job's queue has another name where the code gives it one."""
    path = "shop/orders.py" if name in SENDERS else "shop/jobs.py"
    assert '"mail"' in side[path]
    return {**side, path: side[path].replace('"mail"', '"post"')}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_queue_that_no_worker_names_is_an_error(name: str) -> None:
    base = LIBRARIES[name]
    (finding,) = found("weaker-worker", base, rename(base, name))
    assert (finding.severity, finding.line > 1) == ("error", True)
    assert "published to post, and the workers take jobs from mail alone" in finding.message


@pytest.mark.parametrize("name", LIBRARIES)
def test_with_a_worker_that_names_it_it_is_none(name: str) -> None:
    base = LIBRARIES[name]
    head = rename(base, name)
    if name == "arq":
        head = {**head, "shop/jobs.py": ARQ.replace('"mail"', '"post"')}
    more = base["Procfile"].partition("\n")[0].replace("worker:", "post:").replace("mail", "post")
    assert found("weaker-worker", base, {**head, "Procfile": base["Procfile"] + more + "\n"}) == []


ROUTED = PLAIN.replace("shop.jobs.other", "shop.jobs.se*")
DEFAULT = make(PLAIN, "celery -A shop.jobs worker -Q celery")


def test_a_route_of_the_settings_counts_for_the_tasks_that_it_names() -> None:
    head = {**DEFAULT, "shop/jobs.py": ROUTED}
    assert severities(found("weaker-worker", DEFAULT, head)) == ["error"]
    other = {**DEFAULT, "shop/jobs.py": PLAIN.replace('"slow"', '"slower"')}
    assert found("weaker-worker", DEFAULT, other) == []


DRAMATIQS = LIBRARIES["dramatiq"]
SILENT = {
    "a worker that names no queue": {"Procfile": "worker: dramatiq shop.jobs --threads 8\n"},
    "a worker whose queues are filled in elsewhere": {
        "Procfile": "worker: dramatiq shop.jobs --queues $QUEUES\n"
    },
    "one of two workers names none": {
        "compose.yml": "services:\n  w:\n    command: dramatiq shop.jobs\n",
    },
    "no worker at all": {"Procfile": "web: gunicorn shop.web\n"},
    "a worker of the repository's own": {
        "shop/run.py": "from rq import Worker\n\nWorker(['post']).work()\n"
    },
    "a page names the queue": {"README.md": "Start `dramatiq shop.jobs --queues post`.\n"},
    "the worker is where the base's job never went": {
        "Procfile": "worker: dramatiq shop.jobs --queues other\n"
    },
}


@pytest.mark.parametrize("name", SILENT)
def test_where_the_queues_of_the_workers_are_not_certain_nothing_is_said(name: str) -> None:
    base = {**DRAMATIQS, **SILENT[name]}
    assert found("weaker-worker", base, rename(base, "dramatiq")) == []


def test_a_queue_that_only_running_tells_is_none() -> None:
    head = {
        **DRAMATIQS,
        "shop/jobs.py": DRAMATIQ.replace('"mail"', 'os.environ["QUEUE"]').replace(
            "import dramatiq", "import os\n    import dramatiq"
        ),
    }
    assert found("weaker-worker", DRAMATIQS, head) == []


def test_a_test_that_publishes_elsewhere_is_none() -> None:
    base = LIBRARIES["celery, where it is sent"]
    test = base["shop/orders.py"].replace('"mail"', '"post"')
    head = {**base, "tests/test_orders.py": test, "shop/orders.py": base["shop/orders.py"] + "\n"}
    assert found("weaker-worker", base, head) == []


@pytest.mark.real
def test_a_committed_branch_that_moves_the_job_is_stopped(make_repo: Callable[..., Path]) -> None:
    """The Dockerfile, which starts the worker, is not changed: it is read all the same."""
    worker = 'FROM python\nCMD ["dramatiq", "shop.jobs", "--threads", "8", "--queues", "mail"]\n'
    spec = "version: 1\njob: send\nhandler: shop.jobs:send\n"
    jobs = textwrap.dedent(DRAMATIQ)
    files = {".skillrun/jobs/send.yaml": spec, "shop/__init__.py": "", "shop/jobs.py": jobs}
    repo = branch(make_repo({**files, "Dockerfile": worker}))
    helpers.write_files(repo, {"shop/jobs.py": jobs.replace('"mail"', '"post"')})
    helpers.commit(repo, "Name the queue after what is in it")
    findings = verify(repo, "--ci", code=3).document["gaming"]["findings"]
    told = [one for one in findings if one["rule"] == "gaming.weaker-worker"]
    assert [(one["severity"], one["path"], one["line"]) for one in told] == [
        ("error", "shop/jobs.py", 5)
    ]

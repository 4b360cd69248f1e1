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
    "the worker is where the base's job never went": {
        "Procfile": "worker: dramatiq shop.jobs --queues other\n"
    },
}


@pytest.mark.parametrize("name", SILENT)
def test_where_the_queues_of_the_workers_are_not_certain_nothing_is_said(name: str) -> None:
    base = {**DRAMATIQS, **SILENT[name]}
    assert found("weaker-worker", base, rename(base, "dramatiq")) == []


ONLY_RUNNING = {
    **DRAMATIQS,
    "shop/jobs.py": DRAMATIQ.replace('"mail"', 'os.environ["QUEUE"]').replace(
        "import dramatiq", "import os\n    import dramatiq"
    ),
}
OPENED = {
    "a program of its own": {"shop/run.py": "class Worker:\n    pass\n\nWorker()\n"},
    "a script that names no queue": {"scripts/dev.sh": "dramatiq shop.jobs\n"},
    "the worker is gone": {"Procfile": "web: gunicorn shop.web\n"},
}


def test_a_queue_that_only_running_tells_is_for_the_reviewer() -> None:
    """The base named it. Where it did not either, nothing has changed."""
    assert severities(found("weaker-worker", DRAMATIQS, ONLY_RUNNING)) == ["warning"]
    other = ONLY_RUNNING["shop/jobs.py"].replace("QUEUE", "OTHER")
    assert found("weaker-worker", ONLY_RUNNING, {**ONLY_RUNNING, "shop/jobs.py": other}) == []


@pytest.mark.parametrize("name", OPENED)
def test_a_worker_of_the_branch_without_queues_leaves_it_to_the_reviewer(name: str) -> None:
    head = {**rename(DRAMATIQS, "dramatiq"), **OPENED[name]}
    told = [
        one for one in found("weaker-worker", DRAMATIQS, head) if "published to post" in one.message
    ]
    assert severities(told) == ["warning"]


PAGE = {"README.md": "Start `dramatiq shop.jobs --queues post`.\n"}


def test_a_page_that_the_branch_writes_starts_no_worker() -> None:
    head = rename(DRAMATIQS, "dramatiq")
    assert severities(found("weaker-worker", DRAMATIQS, {**head, **PAGE})) == ["error"]
    # The base's page may tell of a worker that is started elsewhere.
    assert severities(found("weaker-worker", {**DRAMATIQS, **PAGE}, {**head, **PAGE})) == [
        "warning"
    ]


def test_a_page_alone_is_no_worker_of_the_base() -> None:
    page = {
        "README.md": "Start `dramatiq shop.jobs --queues mail`.\n",
        "Procfile": "web: gunicorn\n",
    }
    base = {**DRAMATIQS, **page}
    assert found("weaker-worker", base, rename(base, "dramatiq")) == []


SENDS = {
    "a signature": 'send.s(1).apply_async(queue="dead")',
    "a signature's options": 'send.s(1).set(queue="dead").delay()',
    "a signature in a variable": 'task = send.si(1)\n        task.apply_async(queue="dead")',
    "a signature by its options": 'send.signature((1,), queue="dead").delay()',
    "a signature by its name": 'signature("shop.jobs.send", (1,)).set(queue="dead").delay()',
}
SENDING = """
    from celery import signature
    from shop.jobs import send

    def settle():
        send.delay(1)
    """
SENT_BASE = make(PLAIN, "celery -A shop.jobs worker -Q celery", SENDING)


@pytest.mark.parametrize("name", SENDS)
def test_a_signature_is_followed_to_its_queue(name: str) -> None:
    head = {**SENT_BASE, "shop/orders.py": SENDING.replace("send.delay(1)", SENDS[name])}
    assert severities(found("weaker-worker", SENT_BASE, head)) == ["error"]


OWN_KEYWORDS = {
    "delay": 'send.delay(1, queue="vip")',
    "a signature": 'send.s(1, queue="vip").delay()',
    "what is handed on": "send.delay(**order)",
}


@pytest.mark.parametrize("name", OWN_KEYWORDS)
def test_a_keyword_of_the_job_itself_names_no_queue(name: str) -> None:
    head = {**SENT_BASE, "shop/orders.py": SENDING.replace("send.delay(1)", OWN_KEYWORDS[name])}
    assert found("weaker-worker", SENT_BASE, head) == []


def test_what_rq_hands_on_names_no_queue() -> None:
    base = LIBRARIES["rq"]
    sent = RQ_SENT.replace("order_id)\n    ", 'order_id, queue="vip")\n    ')
    assert sent != RQ_SENT
    assert found("weaker-worker", base, {**base, "shop/orders.py": sent}) == []


DEFAULTS = {
    "an attribute": 'app.conf.task_default_queue = "dead"',
    "an item": 'app.conf["task_default_queue"] = "dead"',
    "an update": 'app.conf.update(task_default_queue="dead")',
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_queue_is_that_of_a_job_that_names_none(name: str) -> None:
    config = f"\n    {DEFAULTS[name]}\n"
    head = {**SENT_BASE, "shop/jobs.py": PLAIN + config}
    assert severities(found("weaker-worker", SENT_BASE, head)) == ["error"]
    # One that is published to a queue by its name alone has no use for it.
    base = LIBRARIES["celery, where it is sent"]
    assert found("weaker-worker", base, {**base, "shop/jobs.py": PLAIN + config}) == []


def test_a_default_queue_of_one_machines_settings_is_for_the_reviewer() -> None:
    head = {**SENT_BASE, "shop/settings/dev.py": 'CELERY_TASK_DEFAULT_QUEUE = "me"\n'}
    assert severities(found("weaker-worker", SENT_BASE, head)) == ["warning"]


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

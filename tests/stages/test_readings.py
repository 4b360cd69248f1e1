"""What reading cannot tell is a question, and no error: the code is right, in a style of its own.

Beside each stands the neighbour in which everything is understood, and which is wrong.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from cases import FILES, GONE, build, examine, rules

from skillrun.runner.findings import is_not_read
from skillrun.skills.job_worker.stages.handler import WIRING_NOT_READ

TASKS = textwrap.dedent(FILES["shop/tasks.py"])
DECORATED = '@app.task(bind=True, name="shop.send_receipt", max_retries=4)'
BARE = """
    import logging

    from shop import mailer
    from shop.celery import app
    {imports}

    log = logging.getLogger(__name__)


    {decorators}
    def send_receipt(self, order_id, email):
        log.info("receipt started order_id=%s task=%s", order_id, self.request.id)
        mailer.send(order_id, email, idempotency_key=f"receipt-{{order_id}}")
        log.info("receipt sent order_id=%s", order_id)
"""
MODEL = """
    from {place} import {base}


    class Receipt({bases}):
        {column}
        email = models.TextField()

        class Meta:
            db_table = "receipts"
"""
DEAD_JOBS = "CREATE TABLE dead_jobs (payload TEXT, reason TEXT);\n"


def task(old: str, new: str, imports: str = "") -> dict[str, str]:
    """The shop's task with one thing changed."""
    assert old in TASKS
    text = TASKS.replace(old, new).replace("import logging\n", f"import logging\n{imports}\n", 1)
    return {"shop/tasks.py": text}


def bare(decorators: str, imports: str = "") -> dict[str, str]:
    """A task that only calls its effect: what is around it does the rest."""
    text = textwrap.dedent(BARE).format(decorators=decorators, imports=imports)
    return {"shop/tasks.py": text}


def model(base: str, place: str, bases: str, column: str) -> dict[str, object]:
    """The table of the receipts as a model of Django's."""
    text = MODEL.format(base=base, place=place, bases=bases, column=column)
    return {"shop/models.py": text, "shop/schema.sql": DEAD_JOBS}


def table(columns: str) -> dict[str, str]:
    """The table of the receipts as SQL."""
    return {"shop/schema.sql": f"CREATE TABLE receipts ({columns});\n{DEAD_JOBS}"}


def sent(text: str, **more: str) -> dict[str, str]:
    """What publishes the job."""
    return {"shop/orders.py": text, **{f"shop/{name}.py": source for name, source in more.items()}}


HOUSE_DECORATOR = task(
    DECORATED,
    '@job_task(name="shop.send_receipt", max_retries=4)',
    "from house_jobs import job_task",
)
OWN_DECORATOR = {
    "shop/celery.py": textwrap.dedent(FILES["shop/celery.py"])
    + textwrap.dedent(
        """

        def job_task(**options):
            def wrap(function):
                return app.task(bind=True, **options)(function)
            return wrap
        """
    ),
    **task(
        DECORATED,
        '@job_task(name="shop.send_receipt", max_retries=4)',
        "from shop.celery import job_task",
    ),
}
RETRYING = bare(
    f'{DECORATED}\n@retrying(dead_letters="dead_jobs")', "from house.retries import retrying"
)
TASK_BASE = bare(
    '@app.task(base=ReliableTask, bind=True, name="shop.send_receipt")',
    "from house.tasks import ReliableTask",
)
RETRY_HELPER = task(
    "raise self.retry(exc=error, countdown=min(2 * 2**self.request.retries, 60))",
    "raise backoff_retry(self, error)",
    "from house.retries import backoff_retry",
)
BY_CONSTANT = sent(
    """
    from shop.celery import app
    from shop.names import SEND

    def settle(order_id, email):
        app.send_task(SEND, kwargs={"order_id": order_id, "email": email})
    """,
    names='SEND = "shop.send_receipt"\n',
)
BY_ROW = sent(
    """
    from shop.celery import app

    def relay(rows):
        for row in rows:
            app.send_task(row.job, kwargs=row.payload)
    """
)
BY_HOUSE_CALL = sent(
    """
    from house_queue import publish

    def settle(order_id, email):
        publish("shop.send_receipt", order_id=order_id, email=email)
    """
)
HANDED_ON = sent(
    """
    from house_queue import publish
    from shop.tasks import send_receipt

    def settle(order_id, email):
        publish(send_receipt, order_id=order_id, email=email)
    """
)
EVENTS = {
    "shop/tasks.py": TASKS.replace("log = logging.getLogger(__name__)", "")
    .replace("import logging", "from house.logs import event")
    .replace("log.info(", "event(")
    .replace("log.warning(", "event(")
    .replace("log.error(", "event(")
}
KEYED_BASE = model("Keyed", "house.models", "Keyed", "sent = True")
OWN_PRIMARY_KEY = model(
    "models", "django.db", "models.Model", "application = models.UUIDField(primary_key=True)"
)

QUESTIONS: dict[str, tuple[str, str, dict[str, object]]] = {
    "the task decorator of a dependency": ("handler", "not-registered", {**HOUSE_DECORATOR}),
    "its arguments": ("handler", "celery.wrong-arguments", {**HOUSE_DECORATOR}),
    "its policy": ("retry", "max-attempts-differs", {**HOUSE_DECORATOR}),
    "a task decorator of the house": ("handler", "celery.wrong-arguments", {**OWN_DECORATOR}),
    "the policy of that one": ("retry", "max-attempts-differs", {**OWN_DECORATOR}),
    "a decorator that retries": ("retry", "max-attempts-differs", {**RETRYING}),
    "a decorator that records": ("dead-letter", "not-written", {**RETRYING}),
    "a decorator that logs": ("observability", "failed", {**RETRYING}),
    "a task base that retries": ("retry", "max-attempts-differs", {**TASK_BASE}),
    "a task base that records": ("dead-letter", "not-written", {**TASK_BASE}),
    "a retry by a helper of a dependency": ("retry", "max-attempts-differs", {**RETRY_HELPER}),
    "a primary key of another name": (
        "idempotency",
        "store-not-unique",
        {**table("application BIGINT PRIMARY KEY, email TEXT")},
    ),
    "a primary key that is the key": (
        "idempotency",
        "store-not-unique",
        {**table("id INTEGER PRIMARY KEY, email TEXT NOT NULL")},
    ),
    "a model's primary key": ("idempotency", "store-not-unique", OWN_PRIMARY_KEY),
    "an abstract model of a dependency": ("idempotency", "store-not-unique", KEYED_BASE),
    "log calls of a dependency": ("observability", "ran", {**EVENTS}),
}
WIRED = {
    "send_task(NAME)": BY_CONSTANT,
    "send_task(row.job)": BY_ROW,
    "a name given to a dependency": BY_HOUSE_CALL,
    "the task given to a dependency": HANDED_ON,
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_not_understood_is_a_question(tmp_path: Path, name: str) -> None:
    stage, slug, files = QUESTIONS[name]
    rule = slug if "." in slug else f"{stage}.{slug}"
    result = examine(stage, build(tmp_path / "repo", files))
    assert rule not in rules(result)
    asked = [finding for finding in result.findings if is_not_read(finding)]
    assert asked, [finding.message for finding in result.findings]
    assert {finding.rule for finding in asked} == {f"{stage}.not-read"}
    assert all(finding.severity == "note" for finding in asked)
    assert all(finding.message.endswith("; the proof will say") for finding in asked)


@pytest.mark.parametrize("name", WIRED)
def test_a_sender_that_was_not_followed_is_a_question(tmp_path: Path, name: str) -> None:
    """A proof that delivers the job says nothing of who publishes it, unless it goes through it."""
    result = examine("handler", build(tmp_path / "repo", WIRED[name]))
    assert "handler.not-wired" not in rules(result)
    asked = [finding for finding in result.findings if finding.rule == WIRING_NOT_READ]
    assert len(asked) == 1
    assert "enqueue: {call:" in str(asked[0].hint)
    named = {"enqueue": {"call": "shop.orders:settle"}}
    result = examine("handler", build(tmp_path / "named", WIRED[name], named))
    assert any(finding.rule == "handler.not-read" for finding in result.findings)


@pytest.mark.real
def test_an_app_class_of_a_dependency_is_an_app(tmp_path: Path) -> None:
    """It was no job library at all; what its policy makes of a job is a question."""
    app = "from notifications_utils.celery import NotifyCelery\n\napp = NotifyCelery()\n"
    right = {"shop/celery.py": app}
    for stage in ("identify", "handler", "retry", "dead-letter"):
        assert rules(examine(stage, build(tmp_path / stage, right))) == []
    result = examine("retry", build(tmp_path / "bare", {**right, **bare(DECORATED)}))
    assert rules(result) == []
    asked = [finding.message for finding in result.findings if is_not_read(finding)]
    assert "notifications_utils.celery" in asked[0]


WRONG: dict[str, tuple[str, str, dict[str, object]]] = {
    "no decorator": ("handler", "not-registered", {**task(DECORATED, "")}),
    "no sender at all": ("handler", "not-wired", {"shop/orders.py": GONE}),
    "a call that is no sending": (
        "handler",
        "not-wired",
        {**sent("from shop.tasks import send_receipt\n\ndef now():\n    send_receipt(1, 'a')\n")},
    ),
    "another policy": ("retry", "max-attempts-differs", {**bare(DECORATED)}),
    "no record": ("dead-letter", "not-written", {**bare(DECORATED)}),
    "no log of a failure": ("observability", "failed", {**bare(DECORATED)}),
    "a key that is not unique": (
        "idempotency",
        "store-not-unique",
        {**table("id INTEGER PRIMARY KEY, order_id INTEGER, email TEXT")},
    ),
    "nothing unique": ("idempotency", "store-not-unique", {**table("thing INTEGER, email TEXT")}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_understood_and_wrong_stays_an_error(tmp_path: Path, name: str) -> None:
    stage, slug, files = WRONG[name]
    result = examine(stage, build(tmp_path / "repo", files))
    assert f"{stage}.{slug}" in rules(result)
    assert not any(is_not_read(finding) for finding in result.findings)


def test_a_decorator_that_only_looks_on_leaves_errors_as_they_are(tmp_path: Path) -> None:
    """`functools.wraps` and a time taken around the call change nothing of what it does."""
    timed = {
        "shop/timing.py": """
            import functools
            import time

            def timed(function):
                @functools.wraps(function)
                def inner(*args, **options):
                    begun = time.monotonic()
                    result = function(*args, **options)
                    print(time.monotonic() - begun)
                    return result
                return inner
            """,
        **bare(f"{DECORATED}\n@timed", "from shop.timing import timed"),
    }
    assert "dead-letter.not-written" in rules(examine("dead-letter", build(tmp_path / "r", timed)))


@pytest.mark.parametrize(
    ("imported", "made"),
    [
        ("import structlog", "events = structlog.get_logger()"),
        ("from loguru import logger as events", ""),
        ("import logging", "events = logging.getLogger(__name__)"),
    ],
)
def test_a_logger_is_known_by_what_made_it(tmp_path: Path, imported: str, made: str) -> None:
    text = TASKS.replace("import logging", imported)
    text = text.replace("log = logging.getLogger(__name__)", made).replace(" log.", " events.")
    result = examine("observability", build(tmp_path / "repo", {"shop/tasks.py": text}))
    assert rules(result) == []
    assert not any(is_not_read(finding) for finding in result.findings)


def test_a_function_that_logs_what_it_is_given_is_a_log_call(tmp_path: Path) -> None:
    files = {
        "shop/logs.py": """
            import logging

            log = logging.getLogger("shop")

            def event(text, *args):
                log.info(text, *args)
            """,
        "shop/tasks.py": EVENTS["shop/tasks.py"].replace("house.logs", "shop.logs"),
    }
    assert rules(examine("observability", build(tmp_path / "repo", files))) == []

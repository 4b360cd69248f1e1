"""The stage observability: four questions, key fields, correlation, metrics, notes."""

from __future__ import annotations

import textwrap

import pytest
from cases import build, examine, finding, has, rules

BODY = """
    {start}
    try:
        mailer.send(order_id, email, idempotency_key=f"r-{{order_id}}")
    except mailer.Unavailable as error:
        {failed}
        raise self.retry(exc=error, countdown=2)
    {end}
"""
NOTES = (
    "One receipt. A dead letter is a row in dead_jobs: mend the cause, then settle the order again."
)
FULL = {
    "start": 'log.info("started order_id=%s task=%s", order_id, self.request.id)',
    "failed": 'log.exception("failed, will retry order_id=%s", order_id)',
    "end": 'log.info("sent order_id=%s", order_id)',
}


def observe(
    root,
    imports="import logging\nlog = logging.getLogger(__name__)",
    notes=NOTES,
    files=None,
    **lines,
):
    body = BODY.format(**{**FULL, **lines})
    text = (
        f"{imports}\nfrom shop import mailer\nfrom shop.celery import app\n\n"
        "@app.task(bind=True, name='shop.send_receipt', max_retries=4)\n"
        f"def send_receipt(self, order_id, email):\n    {notes!r}\n{body}"
    )
    return examine("observability", build(root, {"shop/tasks.py": text, **(files or {})}))


LOGGERS = {
    "getLogger": "import logging\nlog = logging.getLogger(__name__)",
    "task logger": "from celery.utils.log import get_task_logger\nlog = get_task_logger(__name__)",
    "structlog": "import structlog\nlog = structlog.get_logger()",
    "loguru": "from loguru import logger as log",
    "module": "import logging as log",
    "of another module": "from shop.logs import log",
}


@pytest.mark.parametrize("imports", LOGGERS.values(), ids=LOGGERS)
def test_every_usual_logger_answers(tmp_path, imports):
    files = {"shop/logs.py": "import logging\nlog = logging.getLogger('shop')\n"}
    result = observe(tmp_path / "repo", imports, files=files)
    assert rules(result) == []
    assert all(result.facts["answers"].values())


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("retry", True),
        ("retries left", True),
        ("is retried", True),
        ("attempt 2", True),
        ("again", False),
        ("is tried again", True),
        ("again in", True),
    ],
)
def test_a_failure_says_whether_it_comes_again(tmp_path, said, left):
    result = observe(
        tmp_path / "repo", failed=f'log.exception("failed order_id=%s, {said}", order_id)'
    )
    assert bool(result.facts["answers"]["retries"]) is left


def test_a_logger_of_a_longer_name_answers(tmp_path):
    lines = {name: line.replace("log.", "main_logger.") for name, line in FULL.items()}
    assert rules(observe(tmp_path / "repo", "from shop.logs import main_logger", **lines)) == []
    lines = {name: line.replace("log.", "catalog.") for name, line in FULL.items()}
    assert rules(observe(tmp_path / "other", "from shop.logs import catalog", **lines)) != []


def test_self_log_answers(tmp_path):
    lines = {name: f"self.{line}" for name, line in FULL.items()}
    assert rules(observe(tmp_path / "repo", **lines)) == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("end", "observability.succeeded"),
        ("failed", "observability.failed"),
    ],
)
def test_each_missing_line_is_found(tmp_path, line, rule):
    result = observe(tmp_path / "repo", **{line: "pass"})
    found = finding(result, rule)
    assert (found.severity, found.path) == ("blocker", "shop/tasks.py")
    assert found.line and found.hint


def test_a_start_after_the_effect_is_no_start(tmp_path):
    result = observe(tmp_path / "repo", start="pass", end=f"{FULL['start']}\n    {FULL['end']}")
    assert has(result, "observability.no-start")


def test_without_a_start_and_an_end_nobody_knows_that_it_ran(tmp_path):
    """An end that is told says that it ran; that it began is a hint then."""
    told = observe(tmp_path / "told", start="pass")
    assert has(told, "observability.no-start")
    assert told.status == "passed"
    assert "observability.ran" in rules(observe(tmp_path / "untold", start="pass", end="pass"))


def test_a_failure_line_without_the_cause_does_not_answer(tmp_path):
    result = observe(
        tmp_path / "repo", failed='log.warning("it failed, will retry order_id=%s", order_id)'
    )
    assert "observability.failed" in rules(result)
    for name, line in {
        "a": 'log.warning("failed, will retry order_id=%s: %r", order_id, error)',
        "b": 'log.warning("failed, will retry", exc_info=True)',
    }.items():
        assert "observability.failed" not in rules(observe(tmp_path / name, failed=line))


def test_a_failure_line_that_says_nothing_of_a_retry(tmp_path):
    """Its words are the application's own: "not sent yet" says so as well."""
    result = observe(tmp_path / "repo", failed='log.exception("failed order_id=%s", order_id)')
    assert rules(result) == []
    assert (
        "whether a log line says that it will be retried"
        in finding(result, "observability.not-read").message
    )


def test_logs_that_only_the_adapter_writes_are_not_the_jobs_own(tmp_path):
    mailer = """
        import logging
        log = logging.getLogger(__name__)
        class Unavailable(Exception): ...
        class BadAddress(Exception): ...
        def send(order_id, email, *, idempotency_key):
            log.info("started order_id=%s", order_id)
            log.info("sent order_id=%s", order_id)
        """
    result = observe(tmp_path / "repo", start="pass", end="pass", files={"shop/mailer.py": mailer})
    assert {"observability.ran", "observability.succeeded"} <= set(rules(result))


def test_print_and_other_calls_are_no_logs(tmp_path):
    result = observe(
        tmp_path / "repo", start="print('started', order_id)", end="catalog.info(order_id)"
    )
    assert {"observability.ran", "observability.succeeded"} <= set(rules(result))


HOOKED = """
    import logging
    from celery import Task
    from shop import mailer
    from shop.celery import app

    log = logging.getLogger(__name__)

    class Logged(Task):
        def before_start(self, task_id, args, kwargs):
            log.info("started order_id=%s task=%s", kwargs.get("order_id"), task_id)

        def on_success(self, retval, task_id, args, kwargs):
            log.info("sent order_id=%s", kwargs["order_id"])

        def on_retry(self, exc, task_id, args, kwargs, einfo):
            log.warning("will retry order_id=%s: %r", kwargs["order_id"], exc)

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            log.error("failed order_id=%s: %r", kwargs["order_id"], exc)

    @app.task(bind=True, base=Logged, name="shop.send_receipt", autoretry_for=(TimeoutError,))
    def send_receipt(self, order_id, email):
        "One receipt. A dead letter is a row in dead_jobs: mend the cause, then settle the order again."
        mailer.send(order_id, email, idempotency_key=f"r-{order_id}")
    """


def test_hooks_of_the_framework_answer(tmp_path):
    result = examine("observability", build(tmp_path / "repo", {"shop/tasks.py": HOOKED}))
    assert rules(result) == []
    assert all(result.facts["answers"].values())


def test_no_retry_leaves_one_question_out(tmp_path):
    tasks = """
        import logging
        from shop import mailer
        from shop.celery import app
        log = logging.getLogger(__name__)

        @app.task(name="shop.send_receipt")
        def send_receipt(order_id, email):
            "One receipt. A dead letter is a row in dead_jobs: mend the cause, then settle the order again."
            log.info("started order_id=%s", order_id)
            try:
                mailer.send(order_id, email, idempotency_key=f"r-{order_id}")
            except mailer.BadAddress:
                log.exception("failed order_id=%s", order_id)
                raise
            log.info("sent order_id=%s", order_id)
        """
    assert rules(examine("observability", build(tmp_path / "repo", {"shop/tasks.py": tasks}))) == []


# Fields

CARRIED = {
    "extra": 'log.info("sent", extra={"order_id": order_id})',
    "keyword": 'log.info("sent", order_id=order_id)',
    "f-string": 'log.info(f"sent {order_id}")',
    "bound": 'log.bind(order_id=order_id).info("sent")',
    "from kwargs": 'log.info("sent %s", self.request.kwargs.get("order_id"))',
}


@pytest.mark.parametrize("line", CARRIED.values(), ids=CARRIED)
def test_key_fields_are_carried(tmp_path, line):
    result = observe(
        tmp_path / "repo", start='log.info("go")', failed='log.exception("retry")', end=line
    )
    assert "observability.no-key-fields" not in rules(result)


def test_key_fields_are_missing(tmp_path):
    lines = {
        "start": 'log.info("go")',
        "failed": 'log.exception("retry")',
        "end": 'log.info("done")',
    }
    assert "observability.no-key-fields" in rules(observe(tmp_path / "a", **lines))
    lines["end"] = 'log.info("done with reorder_id_list")'
    assert "observability.no-key-fields" in rules(observe(tmp_path / "b", **lines))


def test_correlation_is_a_note(tmp_path):
    result = observe(tmp_path / "a", start='log.info("go %s", order_id)')
    assert finding(result, "observability.no-correlation").severity == "note"
    assert not has(observe(tmp_path / "b"), "observability.no-correlation")


# Metrics and notes

USED = {"shop/web.py": "from prometheus_client import Counter\nHITS = Counter('hits', 'hits')\n"}


def test_metrics_are_asked_for_where_the_repository_has_them(tmp_path):
    assert not has(observe(tmp_path / "a"), "observability.no-metrics")
    assert (
        finding(observe(tmp_path / "b", files=USED), "observability.no-metrics").severity
        == "warning"
    )
    imports = textwrap.dedent("""
        import logging
        from prometheus_client import Counter
        log = logging.getLogger(__name__)
        SENT = Counter("sent", "receipts")
        """)
    end = f"{FULL['end']}\n    SENT.inc()"
    assert not has(
        observe(tmp_path / "c", imports, files=USED, end=end), "observability.no-metrics"
    )


def test_a_library_that_is_only_named_in_a_comment_is_not_used(tmp_path):
    files = {"shop/web.py": "# some day: from prometheus_client import Counter\n"}
    assert not has(observe(tmp_path / "a", files=files), "observability.no-metrics")


def test_notes(tmp_path):
    assert "observability.no-notes" in rules(observe(tmp_path / "a", notes="Sends."))
    documents = {
        "docs/jobs.md": "# send-receipt\n\nDead letters are rows in dead_jobs. Run settle again.\n"
    }
    assert rules(observe(tmp_path / "b", notes="Sends.", files=documents)) == []
    requirement = {"requirements.txt": "celery\n# send_receipt\n"}
    assert "observability.no-notes" in rules(
        observe(tmp_path / "c", notes="Sends.", files=requirement)
    )


def test_a_failure_hook_without_the_cause_does_not_answer(tmp_path):
    silent = HOOKED.replace(
        'log.error("failed order_id=%s: %r", kwargs["order_id"], exc)', 'log.error("failed")'
    )
    result = examine("observability", build(tmp_path / "repo", {"shop/tasks.py": silent}))
    assert result.facts["answers"]["failed"] == []


BOUND = {
    "bind": "log = log.bind(order_id=order_id, task_id=self.request.id)",
    "context variables": (
        "structlog.contextvars.bind_contextvars(order_id=order_id, task_id=self.request.id)"
    ),
    "adapter": (
        "log = logging.LoggerAdapter(log, {'order_id': order_id, 'task_id': self.request.id})"
    ),
}


@pytest.mark.parametrize("line", BOUND.values(), ids=BOUND)
def test_a_correlation_id_may_be_bound_to_the_logger(tmp_path, line):
    start = f"{line}\n    log.info('started')"
    imports = "import logging, structlog\nlog = logging.getLogger(__name__)"
    assert not has(observe(tmp_path / "a", imports, start=start), "observability.no-correlation")
    without = start.replace("task_id", "n").replace("self.request.id", "1")
    assert has(observe(tmp_path / "b", imports, start=without), "observability.no-correlation")


QUIET = """
    import logging
    from shop import dead_jobs, mailer
    from shop.celery import app
    log = logging.getLogger(__name__)

    @app.task(bind=True, name='shop.send_receipt', max_retries=4, autoretry_for=(mailer.Unavailable,))
    def send_receipt(self, order_id, email):
        log.info("started order_id=%s", order_id)
        try:
            mailer.send(order_id, email, idempotency_key=f"r-{order_id}")
        except mailer.Unavailable as error:
            if self.request.retries >= self.max_retries:
                dead_jobs.record(order_id, repr(error))  # exhausted
                return
            log.warning("will retry order_id=%s: %r", order_id, error)
            raise
        except mailer.BadAddress as error:
            dead_jobs.record(order_id, repr(error))  # permanent
            return
        log.info("sent order_id=%s", order_id)
    """


def test_a_log_of_the_retry_alone_does_not_say_why_the_job_was_given_up(tmp_path):
    case = build(tmp_path / "repo", {"shop/tasks.py": QUIET})
    assert "observability.failed" in rules(examine("observability", case))


@pytest.mark.parametrize("where", ["exhausted", "permanent"])
def test_a_log_where_the_job_is_given_up_says_why(tmp_path, where):
    text = QUIET.replace(f"  # {where}", "; log.error('given up order_id=%s: %r', order_id, error)")
    case = build(tmp_path / "repo", {"shop/tasks.py": text})
    assert "observability.failed" not in rules(examine("observability", case))

"""Each static rule of Dramatiq on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dramatiq_repo import BROKER, findings, job_of, open_shop

from skillrun.core.verdict import Severity
from skillrun.frameworks.dramatiq import FRAMEWORK
from skillrun.frameworks.rulebook import read_rule

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
Check = Callable[..., None]
BODY = "def send_receipt(order_id, note=None): mailer.send(order_id)\n"
DEAD_JOBS = (
    "def record(job, why):\n    db.execute('INSERT INTO dead_jobs VALUES (?, ?)', (job, why))\n"
)
RETRIES = "from dramatiq.middleware import AgeLimit, Retries\n"


@pytest.fixture
def check_finds(tmp_path: Path) -> Check:
    """`check_finds(rule, tasks, severity, "words of the message", line="...", spec=...,
    module=text)`.
    """
    numbers = itertools.count()

    def check(
        rule: str,
        tasks: str,
        severity: Severity,
        words: str,
        *,
        line: str = "",
        spec: Any = None,
        **files: str,
    ) -> None:
        shop = open_shop(tmp_path / f"r{next(numbers)}", tasks, **files)
        found = findings(shop, rule, spec)
        assert found, f"{rule} found nothing"
        (finding,) = found
        assert (finding.rule, finding.severity) == (f"dramatiq.{rule}", severity), finding
        assert words in finding.message
        module = shop.project.module(finding.path or "")
        assert module is not None
        assert line in module.line_text(finding.line or 0)

    return check


@pytest.fixture
def check_ignores(tmp_path: Path) -> Check:
    """The same code without the mistake."""
    numbers = itertools.count()

    def check(rule: str, tasks: str, *, spec: Any = None, **files: str) -> None:
        assert findings(open_shop(tmp_path / f"i{next(numbers)}", tasks, **files), rule, spec) == []

    return check


def actor(options: str = "", body: str = "mailer.send(order_id)") -> str:
    inner = textwrap.indent(textwrap.dedent(body).strip("\n") + "\n", "    ")
    return (
        f"from shop import dead_jobs\n@dramatiq.actor({options})\ndef send_receipt(order_id,"
        f" note=None):\n{inner}"
    )


def orders(body: str) -> str:
    inner = textwrap.indent(textwrap.dedent(body).strip("\n") + "\n", "    ")
    return (
        "from django.db import transaction\nfrom shop.tasks import send_receipt\n\ndef"
        f" settle(order_id):\n{inner}"
    )


def broker(extra: str, argument: str = "") -> str:
    return RETRIES + BROKER.replace("url=", f"{argument}url=") + extra + "\n"


# Retrying


def test_default_retries(check_finds: Check, check_ignores: Check) -> None:
    check_finds("default-retries", actor(), WARNING, "retries 20 times", line="@dramatiq.actor()")
    check_ignores("default-retries", actor("max_retries=20"))
    check_ignores(
        "default-retries", actor(), broker=broker("", "middleware=[Retries(max_retries=4)], ")
    )
    check_ignores("default-retries", actor("**options()"))
    check_ignores("default-retries", actor("retry_when=lambda n, e: n < 20"))


def test_retry_unbounded(check_finds: Check, check_ignores: Check) -> None:
    rule = "retry-unbounded"
    check_finds(rule, actor("max_retries=None"), ERROR, "max_retries=None", line="max_retries=None")
    check_finds(
        rule,
        actor("retry_when=lambda n, e: isinstance(e, OSError)"),
        ERROR,
        "never looks at its first argument",
    )
    check_finds(
        rule,
        actor("max_retries=3"),
        ERROR,
        "without end",
        orders=orders("send_receipt.send_with_options(args=(1,), max_retries=None)"),
    )
    check_ignores(rule, actor("max_retries=3"))
    check_ignores(rule, actor("retry_when=lambda n, e: n < 3"))
    check_ignores(rule, actor("retry_when=lambda n, e: decide(n)"))
    check_ignores(rule, actor("retry_when=mailer.decide"))


def test_retry_when_overrides(check_finds: Check, check_ignores: Check) -> None:
    rule = "retry-when-overrides"
    check_finds(
        rule,
        actor("max_retries=3, retry_when=lambda n, e: n < 9"),
        WARNING,
        "max_retries=3 has no effect",
    )
    check_ignores(rule, actor("retry_when=lambda n, e: n < 9"))
    check_ignores(rule, actor("max_retries=3"))


@pytest.mark.real
def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    rule = "permanent-retried"
    check_finds(
        rule,
        actor("max_retries=3"),
        ERROR,
        "BadAddress is permanent in the spec, it leaves the handler",
    )
    logged = (
        "try:\n    mailer.send(order_id)\nexcept mailer.MailError as e:\n    print(e)\n    raise"
    )
    check_finds(rule, actor("max_retries=3", logged), ERROR, "runs it again")
    check_finds(
        rule,
        actor("max_retries=3", logged.replace("raise", "raise dramatiq.Retry()")),
        ERROR,
        "as dramatiq.",
    )
    check_finds(rule, actor("retry_when=lambda n, e: n < 3"), ERROR, "runs it again")
    check_ignores(rule, actor("max_retries=3, throws=(mailer.BadAddress,)"))
    check_ignores(rule, actor("max_retries=3, throws=mailer.MailError"))
    check_ignores(rule, actor("max_retries=0"))
    check_ignores(
        rule, actor("max_retries=3", logged.replace("    raise", "    dead_jobs.record(1, e)"))
    )
    check_ignores(
        rule,
        actor("max_retries=3, throws=ValueError", logged.replace("raise", "raise ValueError(1)")),
    )
    check_ignores(
        rule, actor("retry_when=lambda n, e: n < 3 and isinstance(e, mailer.Unavailable)")
    )
    asked = actor("retry_when=lambda n, e: n < 3 and worth(e)")
    check_finds(rule, asked, NOTE, "could not be read")
    check_finds(
        rule,
        actor("max_retries=3, throws=requests.RequestException"),
        NOTE,
        "could not be read",
        spec={"failures": {"transient": [], "permanent": ["requests:TooManyRedirects"]}},
    )


def test_transient_not_retried(check_finds: Check, check_ignores: Check) -> None:
    rule = "transient-not-retried"
    one = {"failures": {"transient": ["shop.mailer:Unavailable"], "permanent": []}}
    check_finds(
        rule,
        actor("max_retries=3, throws=mailer.MailError"),
        ERROR,
        "given up at its first failure",
        spec=one,
    )
    check_finds(
        rule,
        actor("retry_when=lambda n, e: n < 3 and isinstance(e, OSError)"),
        ERROR,
        "Unavailable",
        spec=one,
    )
    check_ignores(rule, actor("max_retries=3, throws=mailer.BadAddress"), spec=one)
    asked = (
        "try:\n    mailer.send(order_id)\nexcept mailer.Unavailable:\n    raise"
        " dramatiq.Retry(delay=9)"
    )
    check_ignores(rule, actor("max_retries=3, throws=mailer.MailError", asked), spec=one)


def test_swallowed_exception_and_permanent_not_recorded(
    check_finds: Check, check_ignores: Check
) -> None:
    quiet = "try:\n    mailer.send(order_id)\nexcept {}:\n    return"
    rule, caught = "swallowed-exception", quiet.format("mailer.Unavailable")
    check_finds(rule, actor("", caught), ERROR, "Dramatiq acknowledges the message")
    check_ignores(rule, actor("", caught.replace("return", "raise")))
    rule, caught = "permanent-not-recorded", quiet.format("mailer.BadAddress")
    check_finds(rule, actor("", caught), ERROR, "without a dead letter")
    check_ignores(
        rule, actor("", caught.replace("return", "dead_jobs.record(1, 2)")), dead_jobs=DEAD_JOBS
    )


def test_retries_missing_and_twice(check_finds: Check, check_ignores: Check) -> None:
    only = broker("", "middleware=[AgeLimit()], ")
    check_finds(
        "retries-missing", actor(), ERROR, "without a retry and without a dead letter", broker=only
    )
    check_ignores(
        "retries-missing",
        actor(),
        broker=broker("broker.add_middleware(Retries())", "middleware=[AgeLimit()], "),
    )
    check_ignores("retries-missing", actor(), broker=broker("", "middleware=load(), "))
    check_ignores("retries-missing", actor())
    added = "broker.add_middleware(Retries(max_retries=3))"
    check_finds(
        "retries-twice", actor(), ERROR, "sends two retries", line=added, broker=broker(added)
    )
    check_finds(
        "retries-twice", actor(), ERROR, "two", broker=broker(added, "middleware=[Retries()], ")
    )
    check_ignores("retries-twice", actor(), broker=broker(added, "middleware=[AgeLimit()], "))
    check_ignores("retries-twice", actor(), broker=broker(added, "middleware=load(), "))
    check_ignores("retries-twice", actor(), broker=broker("broker.middleware = []\n" + added))


def test_milliseconds(check_finds: Check, check_ignores: Check) -> None:
    check_finds("milliseconds", actor("time_limit=60"), WARNING, "time_limit=60 is 0.06 s")
    check_finds("milliseconds", actor("min_backoff=15"), WARNING, "min_backoff=15")
    check_finds(
        "milliseconds",
        actor(),
        WARNING,
        "max_age=600",
        broker=broker("", "middleware=[AgeLimit(max_age=600)], "),
    )
    check_ignores("milliseconds", actor("time_limit=60_000, min_backoff=100, max_backoff=1000"))


def test_max_age(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "max-age", actor("max_retries=5, max_age=60_000"), WARNING, "the last attempts never run"
    )
    check_ignores("max-age", actor("max_retries=1, max_age=60_000"))
    check_ignores("max-age", actor("max_retries=3"))


def test_options_differ(check_finds: Check, check_ignores: Check) -> None:
    rule, three = "options-differ", "send_receipt.send_with_options(args=(1,), max_retries=3)"
    check_finds(
        rule,
        actor("max_retries=5"),
        WARNING,
        "max_retries depends on the sender: 3, 5",
        line=three,
        orders=orders(three + "\nsend_receipt.send(1)"),
    )
    check_ignores(rule, actor("max_retries=5"), orders=orders(three))
    check_ignores(rule, actor("max_retries=3"), orders=orders(three + "\nsend_receipt.send(1)"))
    check_ignores(
        rule,
        actor("max_retries=5"),
        orders=orders("send_receipt.send(1)"),
        **{"tests/test_x.py": orders(three)},
    )


def test_waits_that_the_broker_does_not_bear(check_finds: Check, check_ignores: Check) -> None:
    body = "try:\n    mailer.send(order_id)\nexcept OSError:\n    raise dramatiq.Retry(delay={})"
    check_finds("delay-too-long", actor("", body.format("86400000 * 8")), WARNING, "691200 s (8 d)")
    check_ignores("delay-too-long", actor("", body.format("60_000")))
    rule, short = "held-too-long", "max_retries=3, max_backoff=1_500_000"
    check_finds(rule, actor("max_retries=9"), WARNING, "consumer_timeout", kind="rabbitmq")
    check_ignores(rule, actor("max_retries=9"))
    check_ignores(rule, actor(short), kind="rabbitmq")
    check_ignores(
        rule,
        actor("max_retries=9"),
        kind="rabbitmq",
        **{"rabbitmq.conf": "consumer_timeout = 31622400000\n"},
    )


# How it ends

CALLBACK = (
    "from shop import dead_jobs as dead\n@dramatiq.actor\ndef buried(message, info):\n    {}\n"
)
RECORDING = CALLBACK.format("dead.record(message, info)")


def test_callbacks_take_a_name(check_finds: Check, check_ignores: Check) -> None:
    rule = "callback-object"
    check_finds(
        rule,
        RECORDING + actor("on_failure=buried"),
        ERROR,
        "takes its name",
        line="on_failure=buried",
    )
    check_finds(
        rule,
        RECORDING + actor("on_retry_exhausted=buried"),
        ERROR,
        "on_retry_exhausted is given an actor",
    )
    check_ignores(rule, RECORDING + actor("on_failure=buried.actor_name"))
    check_ignores(rule, RECORDING + actor("on_failure='buried'"))
    check_ignores(rule, "NAME = 'buried'\n" + RECORDING + actor("on_failure=NAME"))
    rule = "callback-unknown"
    check_finds(rule, RECORDING + actor("on_failure='burried'"), WARNING, "names 'burried'")
    check_ignores(rule, RECORDING + actor("on_failure='buried'"))
    check_ignores(
        rule,
        RECORDING.replace("actor\ndef buried", "actor(actor_name='b')\ndef x")
        + actor("on_failure='b'"),
    )


def test_on_failure_every_time(check_finds: Check, check_ignores: Check) -> None:
    rule, failing = "on-failure-every-time", actor("max_retries=3, on_failure='buried'")
    check_finds(
        rule,
        RECORDING + failing,
        WARNING,
        "after every attempt",
        line="on_failure='buried'",
        dead_jobs=DEAD_JOBS,
    )
    counted = CALLBACK.format("if message['options']['retries'] >= 3: dead.record(message, info)")
    check_ignores(rule, counted + failing, dead_jobs=DEAD_JOBS)
    check_ignores(rule, CALLBACK.format("print(message)") + failing, dead_jobs=DEAD_JOBS)
    check_ignores(
        rule, RECORDING + failing.replace("max_retries=3", "max_retries=0"), dead_jobs=DEAD_JOBS
    )
    check_ignores(
        rule, RECORDING + failing.replace("on_failure", "on_retry_exhausted"), dead_jobs=DEAD_JOBS
    )


def test_thrown_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    rule, options = "thrown-not-recorded", "throws=mailer.BadAddress, on_retry_exhausted='buried'"
    check_finds(
        rule,
        RECORDING + actor(options),
        WARNING,
        "on_retry_exhausted is not sent",
        dead_jobs=DEAD_JOBS,
    )
    recorded = (
        "try:\n    mailer.send(order_id)\nexcept mailer.BadAddress as e:\n    dead_jobs.record(1,"
        " e)\n    raise"
    )
    check_ignores(rule, RECORDING + actor(options, recorded), dead_jobs=DEAD_JOBS)
    check_ignores(
        rule,
        RECORDING + actor(options.replace("on_retry_exhausted", "on_failure")),
        dead_jobs=DEAD_JOBS,
    )
    check_ignores(rule, actor(options), spec={"dead_letter": {"kind": "framework"}})
    check_ignores(rule, actor("max_retries=3"))


def test_redelivery_loop(check_finds: Check, check_ignores: Check) -> None:
    check_finds("redelivery-loop", actor(), WARNING, "not deliveries", line="@dramatiq.actor()")
    counting = (
        "class Count(dramatiq.Middleware):\n    def before_process_message(self, broker, message):"
        " ...\n"
    )
    check_ignores(
        "redelivery-loop", actor(), broker=BROKER + counting + "broker.add_middleware(Count())\n"
    )
    check_finds("redelivery-loop", actor(), WARNING, "not deliveries", broker=BROKER + counting)


# Sending


def test_send_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    rule, send = "send-in-transaction", "    send_receipt.send(order_id)"
    inside = "with transaction.atomic():\n" + send
    check_finds(
        rule, actor(), ERROR, "before the commit", line="send_receipt.send", orders=orders(inside)
    )
    check_finds(
        rule,
        actor(),
        ERROR,
        "inside a transaction",
        orders=orders(send.strip()).replace("def settle", "@transaction.atomic\ndef settle"),
    )
    check_finds(
        rule, actor(), WARNING, "inside a transaction", orders=orders("with db.begin():\n" + send)
    )
    check_ignores(rule, actor(), orders=orders(send.strip()))
    check_ignores(
        rule, actor(), orders=orders(f"with transaction.atomic():\n    pass\n{send.strip()}")
    )
    later = "transaction.on_commit(lambda: send_receipt.send(order_id))"
    check_ignores(rule, actor(), orders=orders("with transaction.atomic():\n    " + later))
    check_ignores(rule, actor(), **{"tests/test_x.py": orders(inside)})


def test_send_again(check_finds: Check, check_ignores: Check) -> None:
    other = "@dramatiq.actor\ndef thank(o): ...\n"
    check_finds("send-again", other + actor("", "thank.send(order_id)"), WARNING, "sends one more")
    check_ignores("send-again", other + actor("", "mailer.send(order_id)"))
    check_ignores("send-again", actor("", "client.send(order_id)"))


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    models = "from django.db import models\nclass Order(models.Model): ...\n"
    head = "from shop.models import Order\n"
    row = head + orders("order = Order.objects.get(pk=1)\nsend_receipt.send(order)")
    check_finds(
        "object-argument", actor(), ERROR, "JSON cannot carry it", models=models, orders=row
    )
    pickled = BROKER + "dramatiq.set_encoder(dramatiq.PickleEncoder())\n"
    check_finds(
        "object-argument", actor(), WARNING, "stale", models=models, orders=row, broker=pickled
    )
    check_ignores(
        "object-argument",
        actor(),
        models=models,
        orders=row.replace("send(order)", "send(order.pk)"),
    )
    check_finds("pickle-encoder", actor(), WARNING, "pickled", broker=pickled, line="set_encoder")
    check_ignores("pickle-encoder", actor())


@pytest.mark.real
def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    rule = "wrong-arguments"
    for call, words in {
        "send()": "order_id is missing",
        "send(1, 2, 3)": "3 arguments",
        "send(order=1)": "takes no order",
        "send_with_options(args=(1,), kwargs={'x': 1})": "takes no x",
        "send_with_options(order_id=1, delay=1000)": "order_id is given as an option",
    }.items():
        check_finds(rule, actor(), ERROR, words, orders=orders(f"send_receipt.{call}"))
    for call in (
        "send(1)",
        "send(order_id=1, note=2)",
        "send(*a)",
        "send_with_options(args=a)",
        "message()",
    ):
        check_ignores(rule, actor(), orders=orders(f"send_receipt.{call}"))
    check_ignores(
        rule, actor().replace("order_id, note=None", "*args"), orders=orders("send_receipt.send()")
    )
    check_ignores(
        rule, "@mailer.wrapped\n" + actor().partition("\n")[2], orders=orders("send_receipt.send()")
    )


def test_limiter_ttl(check_finds: Check, check_ignores: Check) -> None:
    made = (
        "from dramatiq.rate_limits import ConcurrentRateLimiter\nMUTEX ="
        " ConcurrentRateLimiter(backend, 'k', ttl={})\n"
    )
    body = "with MUTEX.acquire():\n    mailer.send(order_id)"
    check_finds(
        "limiter-ttl", made.format(60_000) + actor("", body), WARNING, "the limiter's ttl is 60 s"
    )
    check_ignores("limiter-ttl", made.format(60_000) + actor("time_limit=30_000", body))
    check_ignores("limiter-ttl", made.format(900_000) + actor("", body))


def test_every_rule_is_described_and_tried(tmp_path: Path) -> None:
    text = Path(__file__).read_text()
    stages = {"contract", "idempotency", "handler", "retry", "dead-letter"}
    # Tried with Celery.
    shared = {
        "lock-ttl",
        "check-then-act",
        "select-for-update-outside-transaction",
    }
    for rule in FRAMEWORK.list_rules():
        assert re.fullmatch(r"dramatiq\.[a-z-]+", rule.id)
        assert rule.stage in stages
        assert rule.why.endswith(".") and rule.source
        slug = rule.id.removeprefix("dramatiq.")
        assert slug in shared or f'"{slug}"' in text, rule.id
    shop = open_shop(tmp_path / "r", actor("max_retries=4, throws=mailer.BadAddress"))
    said = [
        f.rule
        for rule in FRAMEWORK.list_rules()
        for f in read_rule(rule, job_of(shop, {"dead_letter": {"kind": "framework"}})).findings
    ]
    assert said == ["dramatiq.redelivery-loop"]

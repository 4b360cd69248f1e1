"""A job in a queue from which no worker of the repository takes."""

from __future__ import annotations

import sys
from pathlib import Path

import helpers
import pytest

from skillrun.contract.spec import load_spec
from skillrun.frameworks.known.launchers import find_starts, split_commands
from skillrun.probe.consuming import QueueWords, TimerWords, list_consumed
from skillrun.proof.prove import prove
from skillrun.proof.result import Target

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

Edits = tuple[tuple[str, str, str], ...]
CELERY = QueueWords("celery", "worker", options=("-Q", "--queues"))
DRAMATIQ = QueueWords("dramatiq", "", options=("-Q", "--queues"))
RQ = QueueWords("rq", "worker", flags=("--burst", "-v"))


@pytest.mark.parametrize(
    ("way", "commands", "default", "expected"),
    [
        (
            CELERY,
            ["celery -A shop worker -Q mail default -l info"],
            ["celery"],
            ["mail", "default"],
        ),
        (CELERY, ["celery -A shop worker --queues mail"], ["celery"], ["mail"]),
        (CELERY, ["celery -A shop worker -Qmail"], ["celery"], ["mail"]),
        (CELERY, ["python -m celery -A shop worker -Q mail"], ["celery"], ["mail"]),
        (CELERY, ["celery -A shop worker", "celery -A shop worker -Q slow"], ["a"], ["a", "slow"]),
        (CELERY, ["celery -A shop beat -Q mail"], ["celery"], []),
        (CELERY, ["celery -A shop worker -Q $QUEUES"], ["celery"], None),
        (CELERY, ["celery -A shop worker"], [], None),
        (DRAMATIQ, ["dramatiq shop.actors --queues mail sms --threads 8"], [], ["mail", "sms"]),
        (DRAMATIQ, ["dramatiq shop.actors --threads 8"], [], None),
        (DRAMATIQ, ["dramatiq shop.actors", "dramatiq shop.actors -Q mail"], [], None),
        (RQ, ["rq worker high low --url redis --burst mail"], ["default"], ["high", "low", "mail"]),
        (RQ, ["rq worker --url redis"], ["default"], ["default"]),
        (RQ, ["rq info high"], ["default"], []),
    ],
)
def test_what_a_command_line_says(
    way: QueueWords, commands: list[str], default: list[str], expected: list[str] | None
) -> None:
    words = [command.split() for command in commands]
    assert list_consumed((way,), words, default) == expected


DELAY = "tasks.send_receipt.delay(order_id=order_id, email=email)"
TO_MAIL = (
    'tasks.send_receipt.apply_async(kwargs={"order_id": order_id, "email": email}, queue="mail")'
)
SENT_TO_MAIL = (("shop/orders.py", DELAY, TO_MAIL),)
# A file that is called worker.py may start one; this one says so in its docstring.
UNSAID = (("hooks/worker.py", "; the worker starts with `dramatiq hooks.worker`", ""),)
PLAIN = "worker: celery -A shop.tasks worker -l info\n"
MAIL = "mail: celery -A shop.tasks worker --queues celery,mail\n"
SLOW = "slow: celery -A shop.tasks worker -Q slow\n"


@pytest.mark.parametrize(
    ("name", "procfile", "edits", "left_in"),
    [
        ("celery_receipt", PLAIN, SENT_TO_MAIL, "mail"),
        ("celery_receipt", PLAIN, (), None),
        ("celery_receipt", MAIL, SENT_TO_MAIL, None),
        ("celery_receipt", SLOW, (), "celery"),
        ("celery_receipt", SLOW + MAIL, SENT_TO_MAIL, None),
        ("celery_receipt", "web: gunicorn shop\n", SENT_TO_MAIL, None),
        ("rq_invoice", "worker: rq worker default --url redis://cache\n", (), "billing"),
        ("rq_invoice", "worker: rq worker --with-scheduler billing\n", (), None),
        ("dramatiq_webhook", "w: dramatiq hooks.worker --queues mail\n", UNSAID, "default"),
        ("dramatiq_webhook", "w: dramatiq hooks.worker -Q mail default\n", UNSAID, None),
        ("dramatiq_webhook", "w: dramatiq hooks.worker\n", UNSAID, None),
    ],
)
@pytest.mark.real
def test_a_job_that_nobody_takes_is_a_risk(
    name: str, procfile: str, edits: Edits, left_in: str | None, tmp_path: Path
) -> None:
    root = run.build(name, Mutant("H", "", edits), tmp_path.resolve() / name)
    helpers.write_files(root, {"Procfile": procfile})
    helpers.git(root, "init", "--quiet")
    helpers.commit(root)
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    proof = prove(Target(spec, root, run.load(name).DRIVER), only="once")
    assert proof.verdict == "proved"
    risks = {risk.judgement.rule: risk.judgement for risk in proof.risks}
    if left_in is None:
        assert "queue-unconsumed" not in risks
    else:
        risk = risks["queue-unconsumed"]
        assert (risk.grade, risk.seen) == ("lost", left_in)


SCHEDULED = TimerWords("rq", "worker", ("-s", "--with-scheduler"))


@pytest.mark.parametrize(
    ("timer", "command", "is_one"),
    [
        (SCHEDULED, "rq worker --with-scheduler mail", True),
        (SCHEDULED, "rq worker -vs mail", True),
        (SCHEDULED, "rq worker mail", False),
        (TimerWords("celery", "beat"), "python -m celery -A shop beat", True),
        (TimerWords("celery", "worker", ("-B",)), "celery -A shop worker -lB", True),
        (TimerWords("celery", "beat"), "celery -A shop worker", False),
        (TimerWords("rqscheduler"), "rqscheduler --host cache", True),
    ],
)
def test_what_starts_a_timer(timer: TimerWords, command: str, is_one: bool) -> None:
    assert timer.is_timer(command.split()) is is_one


OWN_WORKER = """
from redis import Redis
from rq import Queue, Worker

connection = Redis()
queue = Queue("billing", connection=connection)
worker = Worker([queue], connection=connection, prepare_for_work=False)
worker.work({})
"""


@pytest.mark.parametrize(
    ("procfile", "code", "is_risk"),
    [
        ("worker: rq worker billing\n", "", True),
        ("worker: rq worker --with-scheduler billing\n", "", False),
        ("worker: rq worker billing\nclock: rqscheduler\n", "", False),
        ("worker: rq worker $RQ_OPTIONS billing\n", "", False),
        ("worker: rq worker billing\n", "worker.work(with_scheduler=True)\n", False),
        ("web: gunicorn billing\n", "", False),
        ("worker: python ops/scheduler.py\n", OWN_WORKER.format(""), True),
        ("worker: python ops/scheduler.py\n", OWN_WORKER.format("with_scheduler=True"), False),
    ],
)
@pytest.mark.real
def test_a_wait_that_nobody_ends_is_a_risk(
    procfile: str, code: str, is_risk: bool, tmp_path: Path
) -> None:
    root = run.build("rq_invoice", None, tmp_path.resolve() / "rq_invoice")
    helpers.write_files(root, {"Procfile": procfile, "ops/scheduler.py": code})
    helpers.git(root, "init", "--quiet")
    helpers.commit(root)
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    error = spec.failures.transient[0].type if spec.failures else ""
    effect = next(iter(spec.effects or ())).name
    only = f"raise={error}@before:{effect}#1"
    proof = prove(Target(spec, root, run.load("rq_invoice").DRIVER), only=only)
    rules = {risk.judgement.rule for risk in proof.risks}
    assert ("never-due" in rules) is is_risk


@pytest.mark.parametrize(
    "line",
    [
        "worker: celery -A shop worker -Q mail,celery -l info",
        "worker: celery -A shop worker --queues=mail,celery",
        "worker: celery -A shop worker -Qmail,celery",
    ],
)
def test_a_queue_may_be_called_as_the_program_is(line: str) -> None:
    (start,) = find_starts("Procfile", line, ("celery",))
    (command,) = split_commands(start.words, "celery")
    assert CELERY.list_named(command) == ["mail", "celery"]

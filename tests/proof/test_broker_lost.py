"""The broker loses what it holds: who still knows that the job is to be done?"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
from histories import DONE, ONCE, history, raised, reference, retry
from test_report import text_of

from skillrun.contract.job import Enqueue, JobSpec, Sweep
from skillrun.contract.spec import load_spec
from skillrun.core.verdict import RiskGrade
from skillrun.probe.facts import BootFacts
from skillrun.proof.broker import list_sweeps, lose_messages
from skillrun.proof.cause import find_cause
from skillrun.proof.families import publisher
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.prove import prove
from skillrun.proof.replay import assert_holds
from skillrun.proof.report import proof_report
from skillrun.proof.result import Proof, Target
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.story import tell_story

# -- the judge


def emptied(made: History, lost: int = 1) -> History:
    """The same, and at its end the broker loses its messages."""
    loss = lose_messages(made.deliveries, lost, 9.0)
    return replace(made, deliveries=(*made.deliveries, loss))


def risks(made: History, **more: object) -> list[Judgement]:
    found = judge_history(made, replace(reference(), **more))  # type: ignore[arg-type]
    return [judgement for judgement in found if judgement.verdict == Verdict.RISK]


def test_the_state_still_shows_that_it_is_not_done() -> None:
    (risk,) = risks(emptied(history("broker-empty=0", state=[])))
    assert (risk.rule, risk.grade) == ("broker-lost", RiskGrade.STUCK)
    assert "rows still shows it" in risk.message


def test_what_looks_done_is_lost() -> None:
    """A marker that is set before the work, or no state at all."""
    failed = [raised(), retry()]
    marked = emptied(history("raise=app.mail:Away@before:email#1 broker-empty=1", failed))
    assert [risk.grade for risk in risks(marked)] == [RiskGrade.LOST]
    assert [risk.grade for risk in risks(replace(marked, state={}))] == [RiskGrade.LOST]
    volatile = replace(marked, state={"rows": []})
    assert [risk.grade for risk in risks(volatile, volatile=frozenset({"rows"}))] == ["lost"]


def test_a_job_that_is_done_or_a_broker_that_holds_nothing_is_no_risk() -> None:
    assert risks(emptied(history("broker-empty=1", DONE))) == []
    assert risks(history("broker-empty=1", [raised()], state=[])) == []


def test_the_story_names_the_broker() -> None:
    steps = tell_story(emptied(history("broker-empty=0"), lost=2))
    assert [(step.process, step.text, step.fault) for step in steps] == [
        ("the broker", "loses the 2 messages that it holds", True)
    ]


def test_the_text_of_a_schedule_is_read_again() -> None:
    text = "raise=app.mail:Away@before:email#1 broker-empty=1"
    made = parse_schedule(text)
    assert (str(made), made.family, made.emptied) == (text, "broker-lost", 1)
    assert parse_schedule("broker-empty=0").emptied == 0


def test_the_relay_of_an_outbox_is_a_sweep_of_a_broker_that_came_back_empty() -> None:
    sweeps = (Sweep(call="a:quick", every="5m"),)
    enqueue = Enqueue(call="a:b", relay="a:r")
    spec = reference().spec.model_copy(update={"recovers": sweeps, "enqueue": enqueue})
    assert [sweep.call for sweep in list_sweeps(spec, relay=True)] == ["a:quick", "a:r"]
    assert [sweep.call for sweep in list_sweeps(spec, relay=False)] == ["a:quick"]


def test_it_is_tried_where_a_broker_holds_what_the_application_has_published() -> None:
    spec = reference().spec.model_copy(update={"enqueue": Enqueue(call="app.orders:order")})
    error = parse_schedule("raise=app.mail:Away@before:email#1")

    def planned(spec: JobSpec, **facts: bool) -> list[str]:
        situation = Situation(spec, ONCE, BootFacts(**facts))
        if publisher.broker_lost.unless and publisher.broker_lost.unless(situation):
            return []
        return [str(one) for one in publisher.broker_lost.plan(situation, (error,))]

    assert planned(spec) == ["broker-empty=0", f"{error} broker-empty=1"]
    assert planned(reference().spec) == []
    assert planned(spec, ticks=True) == []
    assert planned(spec, keeps_rows=True) == []


@pytest.mark.real
def test_a_replayed_test_holds_a_job_to_what_the_repository_refuses(tmp_path: Path) -> None:
    target_of(tmp_path)
    assert_holds(SPEC, FIRST, root=tmp_path, driver="celery")
    profile = {"quality_bar": {"risks": ["broker-lost"]}}
    (tmp_path / "REPO_PROFILE.json").write_text(json.dumps(profile))
    with pytest.raises(AssertionError, match="broker-lost"):
        assert_holds(SPEC, FIRST, root=tmp_path, driver="celery")


# -- a real application

FILES = {
    "store/__init__.py": "",
    "store/celery.py": (
        """
        from celery import Celery

        app = Celery("store", broker="memory://", include=["store.tasks"])
        """
    ),
    "store/db.py": (
        """
        import os
        import sqlite3
        import time

        SCHEMA = '''
        create table if not exists orders
        (id integer primary key, item text, made real, sent integer not null default 0);
        create table if not exists dead_letters (order_id integer primary key);
        '''

        def connect():
            connection = sqlite3.connect(os.environ["STORE_DB"])
            connection.executescript(SCHEMA)
            return connection

        if __name__ == "__main__":
            with connect() as connection:
                for item in ("an earlier one", "a book"):
                    connection.execute("insert into orders (item, made) values (?, ?)", (item, time.time()))
        """
    ),
    "store/parcels.py": (
        """
        class Away(Exception):
            pass

        def send(order_id, idempotency_key):
            raise RuntimeError("the real one")
        """
    ),
    "store/tasks.py": (
        """
        import logging
        from store import db, parcels
        from store.celery import app

        log = logging.getLogger(__name__)


        @app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=2)
        def ship(self, order_id):
            log.info("ship started order_id=%s", order_id)
            with db.connect() as connection:
                sent = connection.execute("select sent from orders where id = ?", (order_id,)).fetchone()[0]
            if sent:
                log.info("ship was done before order_id=%s", order_id)
                return
            try:
                parcels.send(order_id, idempotency_key=f"order:{order_id}")
            except parcels.Away as error:
                log.warning("ship failed order_id=%s: %r", order_id, error)
                if self.request.retries < self.max_retries:
                    log.warning("ship is retried order_id=%s", order_id)
                raise self.retry(exc=error, countdown=30)
            with db.connect() as connection:
                connection.execute("update orders set sent = 1 where id = ?", (order_id,))
            log.info("ship ended order_id=%s", order_id)
        """
    ),
    "store/orders.py": (
        """
        import time
        from store import db
        from store.tasks import ship

        def publish(number):
            ship.delay(order_id=number)

        def sweep():
            with db.connect() as connection:
                left = connection.execute("select id from orders where sent = 0").fetchall()
            for (order_id,) in left:
                ship.delay(order_id=order_id)
        """
    ),
    ".skillrun/jobs/ship.yaml": (
        """
        version: 1
        job: ship
        trigger: {type: event}
        payload:
          type: object
          required: [order_id]
          properties: {order_id: {type: integer}}
          examples: [{order_id: 2}, {order_id: 1}]
        handler: store.tasks:ship
        message: kwargs
        enqueue: {call: "store.orders:publish", args: {number: 2}}
        recovers: []
        idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table orders}}
        effects:
          - {name: parcel, call: "store.parcels:send", key_arg: idempotency_key, window: 7d, guarantee: keyed}
        failures: {transient: ["store.parcels:Away"]}
        retry: {max_attempts: 3, backoff: {kind: fixed, base: 30s}}
        dead_letter: {kind: none, reason: the order stays unsent}
        proof:
          env: {STORE_DB: "{scratch}/store.db"}
          setup: python -m store.db
          database: "{scratch}/store.db"
          state: {orders: "select id, item, sent from orders"}
        """
    ),
}
SPEC = ".skillrun/jobs/ship.yaml"
FIRST = "broker-empty=0"
LATER = "raise=store.parcels:Away@before:parcel#1 broker-empty=1"
RELAY = (SPEC, "args: {number: 2}", 'args: {number: 2}, relay: "store.orders:sweep"')
SWEEP = (SPEC, "recovers: []", 'recovers: [{call: "store.orders:sweep", every: 15m}]')
NO_ORDERS = (SPEC, '{orders: "select id, item, sent from orders"}', '{all: "select 1"}')
MARKED_FIRST = (
    "store/tasks.py",
    "        return\n",
    '        return\n    with db.connect() as connection:\n        connection.execute("update'
    ' orders set sent = 1 where id = ?", (order_id,))\n',
)
Edit = tuple[str, str, str]


def target_of(root: Path, *edits: Edit, contract: tuple[str, ...] = ()) -> Target:
    helpers.write_files(root, FILES)
    for file, old, new in edits:
        text = (root / file).read_text()
        assert text.count(old) == 1, (old, text)
        (root / file).write_text(text.replace(old, new))
    spec = load_spec(root / SPEC, root=root)
    return Target(spec, root, "celery", contract=frozenset(contract))


def proof_of(root: Path, schedule: str, *edits: Edit) -> Proof:
    return prove(target_of(root, *edits), only=schedule)


def seen(proof: Proof) -> tuple[str, list[str], list[str]]:
    """Verdict, rules of the refutations, grades of the risks."""
    refuted = [witness.judgement.rule for witness in proof.witnesses]
    return proof.verdict, refuted, [str(risk.judgement.grade) for risk in proof.risks]


def in_sweep(old: str, new: str) -> Edit:
    return "store/orders.py", old, new


FOUND = "select id from orders where sent = 0"
PUBLISH = "ship.delay(order_id=order_id)"


@pytest.mark.real
@pytest.mark.parametrize("schedule", [FIRST, LATER])
@pytest.mark.parametrize(
    ("edits", "grade"),
    [([], "stuck"), ([NO_ORDERS], "lost"), ([MARKED_FIRST], None)],
    ids=["the order shows it", "nothing shows it", "a marker before the work"],
)
def test_without_a_sweep_it_is_a_risk(
    edits: list[Edit], grade: str | None, schedule: str, tmp_path: Path
) -> None:
    proof = proof_of(tmp_path, schedule, *edits)
    # With the marker set before the work, the failed attempt leaves the order looking sent.
    marked = "stuck" if schedule == FIRST else "lost"
    assert seen(proof) == ("proved", [], [grade or marked])


@pytest.mark.real
@pytest.mark.parametrize("schedule", [FIRST, LATER])
@pytest.mark.parametrize(
    "edits",
    [
        [SWEEP],
        [RELAY],
        [SWEEP, in_sweep(PUBLISH, f"{PUBLISH}; {PUBLISH}")],
        [SWEEP, in_sweep(f'"{FOUND}"', f'"{FOUND} and made < ?", (time.time() - 3000,)')],
        [SWEEP, in_sweep(f'"{FOUND}"', f'"{FOUND} and made < ?", (time.time() - 80000,)')],
        [
            SWEEP,
            in_sweep(
                "        ship.delay(order_id=order_id)\n", "        ship(order_id=order_id)\n"
            ),
        ],
    ],
    ids=[
        "plain",
        "a relay that looks at the orders",
        "twice",
        "after an hour",
        "after a day",
        "does it itself",
    ],
)
def test_a_sweep_that_brings_the_job_back_is_proved(
    edits: list[Edit], schedule: str, tmp_path: Path
) -> None:
    assert seen(proof_of(tmp_path, schedule, *edits)) == ("proved", [], [])


@pytest.mark.real
@pytest.mark.parametrize(
    ("edits", "schedule"),
    [
        ([in_sweep("sent = 0", "sent = 2")], FIRST),
        ([in_sweep("for (order_id,) in left:", "for (order_id,) in left[:1]:")], FIRST),
        ([in_sweep(PUBLISH, "order_id")], LATER),
        ([in_sweep("def sweep():", "def sweep():\n    raise KeyError('sweep')")], FIRST),
        ([MARKED_FIRST], LATER),
    ],
    ids=["looks for others", "forgets one", "publishes nothing", "fails", "does not find it"],
)
def test_a_sweep_that_does_not_is_refuted(edits: list[Edit], schedule: str, tmp_path: Path) -> None:
    """That a sweep brings the job back is what the spec says: a break is no risk."""
    proof = proof_of(tmp_path, schedule, SWEEP, *edits)
    assert proof.verdict == "refuted"
    first = proof.witnesses[0]
    assert first.judgement.rule == "effect.lost"
    assert "no sweep of recovers" in find_cause(first.tried.history, first.judgement)
    assert proof.risks == []


@pytest.mark.real
def test_the_whole_proof_names_it_once_and_stays_proved(tmp_path: Path) -> None:
    target = target_of(tmp_path)
    proof = prove(target)
    assert proof.verdict == "proved"
    (risk,) = [risk for risk in proof.risks if risk.judgement.rule == "broker-lost"]
    assert risk.judgement.grade == "stuck"
    # Behind its own stand those of other risks that a sweep would close as well.
    assert [str(one) for one in risk.schedules[:2]] == [FIRST, LATER]
    text = text_of(proof_report(proof, target))
    assert re.match(r"proved: \d+ schedules; risks: \d stuck", text.splitlines()[-1])
    assert "happened  the broker: loses the message that it holds" in text


@pytest.mark.real
def test_a_repository_may_refuse_the_risk(tmp_path: Path) -> None:
    proof = prove(target_of(tmp_path, contract=("broker-lost",)), only=FIRST)
    assert seen(proof) == ("refuted", ["broker-lost"], [])

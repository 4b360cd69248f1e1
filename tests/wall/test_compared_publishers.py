"""What the base's publishers and HEAD's choose to publish over the same rows."""

from __future__ import annotations

import sys
from pathlib import Path

import helpers
import pytest
from looks import SPEC, SPEC_TEXT, diff

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proof"))
import word_job

from skillrun.contract.spec import load_spec
from skillrun.core.errors import Blocked
from skillrun.proof.observe import Published, observe_publishers
from skillrun.proof.result import Target
from skillrun.wall.compared_publishers import judge_publishers
from skillrun.wall.verification import Job, Proof

CALL = "shop.nightly:nightly"
NIGHTLY = """
    from shop.tasks import send_receipt

    def due():
        return []

    def nightly():
        for order in due():
            send_receipt.delay(order)
    """
OLD = {
    SPEC: SPEC_TEXT,
    "shop/__init__.py": "",
    "shop/tasks.py": "def send_receipt(order):\n    pass\n",
}
OLD |= {"shop/nightly.py": NIGHTLY}
NEW = {**OLD, "shop/nightly.py": NIGHTLY.replace("order in due()", "order in due()[:1]")}
Made = dict[str, list[Published]]


def judge(
    before: Made, *after: Made, new: dict[str, str] = NEW
) -> tuple[str, list[tuple[str, str]], list[str]]:
    """`after`: what HEAD publishes, each time that it is asked."""
    branch = diff(OLD, new)
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    asked = iter(after)
    judged = judge_publishers(
        job, branch.specs[0], branch, lambda _, calls: before, lambda _, calls: next(asked)
    )
    assert judged.proof is not None
    told = [(str(one.severity), one.message) for one in judged.proof.findings]
    return judged.outcome, told, [one.what for one in judged.not_compared]


def make(*jobs: str, days: int = 0) -> Made:
    """Published so many days later, and nothing before."""
    moments = {0: 0, 1: 1, 8: 2, 31: 3, 100: 4}[days]
    return {CALL: [Published()] * moments + [Published(frozenset(jobs))]}


def test_what_the_base_publishes_head_publishes_too() -> None:
    base = make("order_id=7", "order_id=8", days=8)
    assert judge(base, base) == ("success", [], [])
    less = make("order_id=7", days=8)
    outcome, told, _ = judge(base, less, less)
    assert outcome == "partial"
    assert told == [
        (
            "error",
            f"`{CALL}` does not publish `order_id=8`, which the base publishes over the rows of"
            " proof.setup, 8 days later",
        )
    ]


def test_a_further_job_is_for_the_reviewer() -> None:
    more = make("order_id=7", "order_id=8")
    outcome, told, _ = judge(make("order_id=7"), more, more)
    assert (outcome, [severity for severity, _ in told]) == ("success", ["warning"])


def test_what_one_run_does_by_chance_is_no_finding() -> None:
    assert judge(make("order_id=7"), make(), make("order_id=7"))[:2] == ("success", [])


def test_a_call_that_fails_is_said_and_held_against_nobody() -> None:
    failing = {CALL: [Published(problem="it fails: builtins:KeyError")]}
    for before, after in ((make("order_id=7"), failing), (failing, make("order_id=7"))):
        assert judge(before, after) == ("success", [], [f"what {CALL} publishes"])


def test_publishers_that_did_not_change_are_not_called() -> None:
    other = {**OLD, "shop/__init__.py": "A = 1\n"}
    assert judge({}, new=other) == ("success", [], [])
    # Who takes an argument cannot be called; nor can one that is new be compared.
    taking = {**OLD, "shop/nightly.py": NIGHTLY.replace("nightly()", "nightly(day)")}
    assert judge({}, new=taking) == ("success", [], [])
    new = NIGHTLY + "\n    def hourly():\n        send_receipt.delay(1)\n"
    assert judge({}, new={**OLD, "shop/nightly.py": new}) == ("success", [], [])


def test_a_side_that_cannot_be_run_is_said() -> None:
    def fail(_spec: object, _calls: object) -> Made:
        raise Blocked("no interpreter")

    branch = diff(OLD, NEW)
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    judged = judge_publishers(job, branch.specs[0], branch, fail, fail)
    assert [one.why for one in judged.not_compared] == ["no interpreter"]


PUBLISHER = """
import time

import click

from store import db
from store.tasks import ship

BEGAN = START

def publish_due():
    with db.connect() as connection:
        rows = connection.execute("select id, state from orders order by id").fetchall()
    for order_id, state in rows:
        if state == "new" and DUE:
            ship.delay(order_id=order_id)

@click.command()
@click.option("--loud", is_flag=True)
def nightly(loud=False):
    publish_due()
"""


@pytest.mark.real
def test_a_day_that_is_missed_is_found(tmp_path: Path) -> None:
    """The base catches up; HEAD asks for the very day. A command is called without its options."""
    import time

    began = str(int(time.time()))
    days = "int((time.time() - BEGAN) // 86_400)"
    published = []
    for name, due in (("base", f"{days} >= 8"), ("head", f"{days} == 8"), ("same", f"{days} > 7")):
        code = PUBLISHER.replace("START", began).replace("DUE", due)
        repo = helpers.build_tree(tmp_path / name, {**word_job.FILES, "store/nightly.py": code})
        target = Target(load_spec(repo / word_job.SPEC), repo, "celery")
        calls = ["store.nightly:publish_due", "store.nightly:nightly"]
        published.append(observe_publishers(target, calls))
    base, head, same = published
    both = frozenset(("order_id=7", "order_id=8"))
    for call, made in base.items():
        jobs = [one.jobs for one in made[:5]]
        assert jobs == [frozenset(), frozenset(), both, both, both], (call, made)
        assert [one.jobs for one in head[call][:5]] == [
            frozenset(),
            frozenset(),
            both,
            *[frozenset()] * 2,
        ]
    assert same == base

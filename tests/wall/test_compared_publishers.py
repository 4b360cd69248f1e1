"""What the base's publishers and HEAD's choose to publish over the same rows."""

from __future__ import annotations

import sys
import textwrap
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


def test_where_heads_call_fails_what_it_does_not_publish_is_left_out() -> None:
    base = make("order_id=7", "order_id=8")
    before, behind = (
        {CALL: [Published(frozenset(jobs), "it fails: builtins:SystemExit")]}
        for jobs in (("order_id=7",), ("order_id=7", "order_id=8"))
    )
    outcome, told, uncompared = judge(base, before, before)
    assert (outcome, uncompared) == ("partial", [f"what {CALL} publishes"])
    assert told == [
        (
            "error",
            f"`{CALL}` does not publish `order_id=8`, which the base publishes over the rows of"
            " proof.setup: `it fails: builtins:SystemExit`",
        )
    ]
    outcome, told, _ = judge(base, behind, behind)
    assert (outcome, [severity for severity, _ in told]) == ("success", ["warning"])
    assert judge(base, before, base)[:2] == ("success", [])


def test_a_call_that_does_not_end_is_for_the_reviewer() -> None:
    """It is not made again, and the base's publishes a week later alone."""
    endless = {CALL: [Published(problem="it does not end", is_endless=True)]}
    outcome, told, uncompared = judge(make("order_id=7", days=8), endless, endless)
    assert (outcome, uncompared) == ("success", [f"what {CALL} publishes"])
    assert [severity for severity, _ in told] == ["warning"]
    assert "does not end over the rows of proof.setup, 8 days later" in told[0][1]


def test_a_failure_of_the_base_or_of_an_idle_call_is_said_and_held_against_nobody() -> None:
    failing = {CALL: [Published(problem="it fails: builtins:KeyError")]}
    for before, after in ((failing, make("order_id=7")), (make(), failing)):
        assert judge(before, after) == ("success", [], [f"what {CALL} publishes"])


def test_where_neither_side_publishes_nothing_was_compared() -> None:
    assert judge(make(), make()) == ("success", [], [f"what {CALL} publishes"])


def test_no_more_than_three_are_called_and_the_others_are_said() -> None:
    calls = [f"shop.nightly:nightly{number}" for number in range(5)]
    functions = textwrap.dedent(NIGHTLY).partition("def nightly")[0]
    for number in range(5):
        functions += f"def nightly{number}():\n    send_receipt.delay(due()[0])\n\n"
    old = {**OLD, "shop/nightly.py": functions}
    branch = diff(old, {**OLD, "shop/nightly.py": functions.replace("[0]", "[1]")})
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    asked: list[list[str]] = []

    def publish(_spec: object, called: list[str]) -> Made:
        asked.append(called)
        return {call: [Published(frozenset({"order_id=7"}))] for call in called}

    judged = judge_publishers(job, branch.specs[0], branch, publish, publish)
    assert asked[0] == calls[:3]
    assert [one.what for one in judged.not_compared] == [
        f"what {one} publishes" for one in calls[3:]
    ]


def test_publishers_that_did_not_change_are_not_called() -> None:
    other = {**OLD, "shop/__init__.py": "A = 1\n"}
    assert judge({}, new=other) == ("success", [], [])
    # One that is new has nothing to be compared with.
    new = NIGHTLY + "\n    def hourly():\n        send_receipt.delay(1)\n"
    assert judge({}, new={**OLD, "shop/nightly.py": new}) == ("success", [], [])


@pytest.mark.parametrize("head", ["nightly(day)", "each_night()"])
def test_a_publisher_that_takes_an_argument_now_or_has_another_name_is_said(head: str) -> None:
    new = {**OLD, "shop/nightly.py": NIGHTLY.replace("nightly()", head)}
    assert judge({}, new=new) == ("success", [], [f"what {CALL} publishes"])


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


FAILING = """
import sys
import time

from store import db
from store.tasks import ship

def publish_first():
    with db.connect() as connection:
        (order_id,) = connection.execute("select min(id) from orders").fetchone()
    ship.delay(order_id=order_id)

def divide():
    publish_first()
    1 / 0

def leave():
    sys.exit(1)

def hang():
    publish_first()
    while True:
        time.sleep(0.01)
"""


@pytest.mark.real
def test_what_was_published_before_a_failure_counts(tmp_path: Path) -> None:
    """After a failure it is called again on later days; what does not end costs its time once."""
    repo = helpers.build_tree(tmp_path, {**word_job.FILES, "store/nightly.py": FAILING})
    target = Target(load_spec(repo / word_job.SPEC), repo, "celery")
    calls = [f"store.nightly:{name}" for name in ("divide", "leave", "hang")]
    made = observe_publishers(target, calls)
    seven = frozenset({"order_id=7"})
    assert made[calls[0]] == [Published(seven, "it fails: builtins:ZeroDivisionError")] * 10
    assert [one.problem for one in made[calls[1]]] == ["it fails: SystemExit: 1"] * 10
    (hung,) = made[calls[2]]
    assert (hung.jobs, hung.is_endless) == (seven, True)

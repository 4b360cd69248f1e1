"""Two jobs at once in one process, in its event loop or its threads: what both keep in one object."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import ACKED, DONE, KILLED, RETURNED, commit, effect, fault, history, reference

from skillrun.contract.spec import load_spec
from skillrun.probe.facts import BootFacts
from skillrun.proof.attempt import try_prove
from skillrun.proof.families import messages, together
from skillrun.proof.families.situation import Situation
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.result import Target

CORPUS = Path(__file__).parent / "corpus"
sys.path.insert(0, str(CORPUS))
import run as corpus  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

LOOP = BootFacts(shared="loop", awaited=("email",), same_process=True)
THREADS = BootFacts(shared="threads", same_process=True)
WRITE = ("at", {"when": "after", "kind": "sql", "name": "insert-t#1", "open": True, "store": "db"})


def planned(facts: BootFacts, *told: Any, jobs: tuple[int, ...] = (1,)) -> list[str]:
    once = history("once", [*told, *effect(), *commit(), RETURNED, ACKED])
    situation = Situation(reference().spec, once, facts, jobs=jobs)
    return [str(schedule) for schedule in together.shared_process.plan(situation, ())]


def test_another_job_goes_on_while_an_effect_waits() -> None:
    both = [
        "switch@before:email#1 beside=1 same-process",
        "switch@after:email#1 beside=1 same-process",
    ]
    assert planned(LOOP) == both
    assert planned(THREADS) == both


def test_what_lets_no_other_job_go_on_is_left_out() -> None:
    assert planned(BootFacts(same_process=True)) == []
    assert planned(LOOP, jobs=()) == []
    # A call that is not awaited holds the loop, and one that is awaited runs in one thread.
    assert planned(BootFacts(shared="loop")) == []
    assert planned(BootFacts(shared="threads", awaited=("email",))) == []


def test_an_open_transaction_may_keep_the_other_job_waiting() -> None:
    assert planned(LOOP, WRITE) == []


def test_deliveries_that_wait_for_each_other_say_nothing() -> None:
    text = "switch@before:email#1 beside=1 same-process"
    apart = history(text, DONE, DONE)
    met = fault("pause", "before:email#1")
    stuck = history(text, [met, ("inseparable", {}), KILLED])
    judged = replace(reference(), apart=apart)
    assert judge_history(stuck, judged) == ()
    (found,) = judge_history(history(text, [met, RETURNED, ACKED]), judged)
    assert found.rule == "process.remembers"


# -- a commit that is refused


def test_each_commit_is_refused_once_in_a_process_that_lives_on() -> None:
    once = history("once", [*effect(), *commit(), RETURNED, ACKED])
    for facts, texts in (
        (BootFacts(same_process=True), ["fail@before:commit#1 same-process redeliver"]),
        (BootFacts(), []),
    ):
        situation = Situation(reference().spec, once, facts)
        made = messages.same_process_refused.plan(situation, ())
        assert list(map(str, made)) == texts


@pytest.mark.real
def test_what_is_remembered_before_it_is_committed_is_found(tmp_path: Path) -> None:
    root = corpus.build("dramatiq_refund", None, tmp_path / "repo")
    only = "fail@before:commit#1 same-process redeliver"
    assert rules_under(root, "dramatiq_refund", only) == []
    jobs = root / "returns" / "jobs.py"
    code = jobs.read_text()
    marked = (
        '    with db.transaction() as connection:\n        connection.execute("INSERT INTO refunds'
    )
    assert code.count(marked) == 1
    remembers = (
        f"    if return_id in refunded:\n        return\n    refunded.add(return_id)\n{marked}"
    )
    code = code.replace(marked, remembers)
    jobs.write_text(code.replace("log = logging", "refunded = set()\nlog = logging", 1))
    assert rules_under(root, "dramatiq_refund", only) == ["process.remembers"]


def rules_under(root: Path, name: str, only: str) -> list[str]:
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    proof = try_prove(Target(spec, root, corpus.load(name).DRIVER), only=only)
    assert not proof.incomplete, proof.incomplete
    return [witness.judgement.rule for witness in proof.witnesses]


# -- real workers

CASES = {
    "taskiq_parcel": (
        "parcels/tasks.py",
        "    await carrier.announce(address",
        'values (?, ?)", (parcel_id, address))',
        'values (?, ?)", (now["id"], now["address"]))',
        "    now.update(id=parcel_id, address=address)\n",
        "announcement",
    ),
    "dramatiq_refund": (
        "returns/jobs.py",
        "    bank.refund(return_id, cents",
        "    mark_refunded(return_id, cents)\n    log",
        '    mark_refunded(now["id"], now["cents"])\n    log',
        "    now.update(id=return_id, cents=cents)\n",
        "refund",
    ),
}


def rules_of(root: Path, name: str, effect_name: str) -> list[str]:
    return rules_under(root, name, f"switch@before:{effect_name}#1 beside=1 same-process")


@pytest.mark.real
@pytest.mark.parametrize("name", CASES)
def test_an_object_that_two_jobs_share_is_found(tmp_path: Path, name: str) -> None:
    file, call, was, becomes, keeps, effect_name = CASES[name]
    root = corpus.build(name, None, tmp_path / name)
    assert rules_of(root, name, effect_name) == []
    code = (root / file).read_text()
    assert code.count(call) == 1 and code.count(was) == 1
    code = code.replace(call, keeps + call).replace(was, becomes)
    (root / file).write_text(code.replace("log = logging", "now = {}\nlog = logging", 1))
    assert rules_of(root, name, effect_name) == ["process.remembers"]


@pytest.mark.real
def test_a_lock_around_it_tells_them_apart(tmp_path: Path) -> None:
    root = corpus.build("taskiq_parcel", None, tmp_path / "locked")
    path = root / "parcels/tasks.py"
    code = path.read_text().replace("import logging\n", "import asyncio\nimport logging\n", 1)
    code = code.replace("log = logging", "lock = asyncio.Lock()\nlog = logging", 1)
    call = "    await carrier.announce("
    code = code.replace(call, f"    async with lock:\n    {call}")
    path.write_text(code)
    assert rules_of(root, "taskiq_parcel", "announcement") == []

"""A file that a handler writes into the scratch is like state: at the end it is as after one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.proof.judges import unknowns
from tests.proof.histories import DONE, KILLED, ONCE, RETURNED, Told, fault, history, raised
from tests.proof.plain_job import plain_repo, proof_of

from skillrun.contract.job import Effect, JobSpec  # isort: skip
from skillrun.proof.reference import Reference  # isort: skip

WRITE: Told = ("undeclared", {"kind": "file", "detail": "{scratch}/out/7.csv"})
WORK: Told = ("undeclared", {"kind": "file", "detail": "{scratch}/out/7-4711.part"})
OTHER: Told = ("undeclared", {"kind": "file", "detail": "{scratch}/out/7-4712.part"})
SINGLE = {"out/7.csv": "one", "out/7-4711.part": None}


def rules(seen: object, **more: object) -> list[str]:
    once = history("once", [WORK, WRITE, *DONE], files=SINGLE)
    spec = JobSpec(
        version=1, job="job", effects=(Effect(name="email", call="app.mail:send", key_arg="key"),)
    )
    found = unknowns.judge(seen, Reference(spec, once, **more))  # type: ignore[arg-type]
    return [judgement.rule for judgement in found]


def test_what_is_written_again_the_same_is_like_state() -> None:
    twice = history("redeliver", [WORK, WRITE, *DONE], [OTHER, WRITE, *DONE], files=SINGLE)
    assert rules(twice) == []


def test_what_is_added_to_is_an_effect() -> None:
    twice = history("redeliver", [WRITE, *DONE], [WRITE, *DONE], files={"out/7.csv": "two"})
    assert rules(twice) == ["effect.undeclared"] * 2


def test_what_is_another_in_each_run_cannot_be_compared() -> None:
    later = history("once", [WRITE, *DONE], files={"out/7.csv": "another"})
    twice = history("redeliver", [WRITE, *DONE], files={"out/7.csv": "one"})
    assert rules(twice, later=later) == ["effect.undeclared"]


def test_a_work_file_may_be_left_by_a_death_alone() -> None:
    left = {"out/7-4711.part": "half", "out/7.csv": "one"}
    dead = [WORK, fault("kill", "before:email#1"), KILLED]
    assert rules(history("kill@before:email#1", dead, [OTHER, WRITE, *DONE], files=left)) == []
    assert rules(history("redeliver", [WORK, WRITE, *DONE], files=left)) == ["effect.undeclared"]


def test_a_job_that_is_given_up_need_not_have_written_its_file() -> None:
    gone = history(
        "raise=x:Y@before:email#*/*", [WRITE, raised(), RETURNED], files={"out/7.csv": None}
    )
    assert rules(gone) == []


def test_a_log_that_is_read_is_no_file_of_this_kind() -> None:
    log: Told = ("undeclared", {"kind": "file", "detail": "{scratch}/app.log, a log that is read"})
    assert rules(history("redeliver", [log, *DONE], DONE)) == ["effect.undeclared"]
    assert ONCE.files == {}


FOLDER = "os.path.dirname(DB) + '/'"


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (f"open({FOLDER} + f'{{order_id}}.txt', 'w').write('paid')", "proved"),
        (f"open({FOLDER} + f'{{order_id}}.txt', 'a').write('paid')", "incomplete"),
    ],
)
@pytest.mark.real
def test_a_report_is_proved_and_a_line_that_is_added_is_not(
    tmp_path: Path, code: str, verdict: str
) -> None:
    place = "            send(order_id, key="
    opened = code.partition(".write")[0]
    write = f"            with {opened} as out:\n                out.write('paid')\n"
    repo = plain_repo(tmp_path / "repo", was=place, becomes=write + place)
    proof = proof_of(repo, "kill@before:send#1")
    assert proof.verdict == verdict, proof

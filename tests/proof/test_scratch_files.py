"""A file that a handler writes into the scratch is like state: at the end it is as after one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.proof.judges import unknowns
from tests.proof.histories import DONE, KILLED, ONCE, RETURNED, Told, fault, history, raised
from tests.proof.plain_job import plain_repo, proof_of

from skillrun.contract.job import Effect, JobSpec  # isort: skip
from skillrun.proof.history import History  # isort: skip
from skillrun.proof.reference import Reference  # isort: skip

WRITE: Told = ("undeclared", {"kind": "file", "detail": "{scratch}/out/7.csv"})
WORK: Told = ("undeclared", {"kind": "file", "detail": "{scratch}/out/7-4711.part"})
OTHER: Told = ("undeclared", {"kind": "file", "detail": "{scratch}/out/7-4712.part"})
SINGLE = {"out/7.csv": "one", "out/7-4711.part": None}


def rules(seen: object, once: History | None = None, **more: object) -> list[str]:
    once = once or history("once", [WORK, WRITE, *DONE], files=SINGLE)
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


def test_what_a_file_is_given_besides_its_content_is_compared() -> None:
    """A mode, times, an attribute: a job remembers by them as well."""
    first: Told = ("undeclared", {**WRITE[1], "given": "mode 600"})
    other: Told = ("undeclared", {**WRITE[1], "given": "mode 644"})
    once = history("once", [first, *DONE], files={"out/7.csv": "one"})
    for second, said in ((first, []), (WRITE, []), (other, ["effect.undeclared"])):
        twice = history("redeliver", [first, *DONE], [second, *DONE], files=once.files)
        assert rules(twice, once=once) == said
    later = history("once", [other, *DONE], files=once.files)
    assert rules(once, once=once, later=later) == ["effect.undeclared"]


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


COPIED = f"""with open({FOLDER} + 'part', 'w') as out:
    out.write('paid')
os.chmod({FOLDER} + 'part', 0o640)
os.utime({FOLDER} + 'part', (order_id, order_id))
os.setxattr({FOLDER} + 'part', 'user.order', str(order_id).encode())
os.replace({FOLDER} + 'part', {FOLDER} + 'report')
import shutil
shutil.copy2('jobs.py', {FOLDER} + 'copy')
os.utime({FOLDER} + 'copy')
with open({FOLDER} + 'latest.part', 'w') as out:
    out.write('paid')
shutil.copy2({FOLDER} + 'latest.part', {FOLDER} + 'latest')"""


@pytest.mark.real
def test_a_report_with_times_and_a_mode_of_its_own_is_proved(tmp_path: Path) -> None:
    place = "            send(order_id, key="
    write = "".join(f"            {line}\n" for line in COPIED.splitlines())
    repo = plain_repo(tmp_path / "repo", was=place, becomes=write + place)
    proof = proof_of(repo, "kill@before:send#1")
    assert proof.verdict == "proved", proof


SAFELY = f"""(
        lambda made: (os.close(made[0]), os.replace(made[1], {FOLDER} + key))
    )(__import__("tempfile").mkstemp(dir={FOLDER}))"""


@pytest.mark.parametrize(
    ("write", "guarantee", "verdict"),
    [
        (f"open({FOLDER} + key, 'w').write('paid')", "convergent", "proved"),
        (f"open({FOLDER} + key, 'w').write(str(time.time()))", "convergent", "incomplete"),
        (SAFELY, "convergent", "proved"),
        (f"open({FOLDER} + key, 'a').write('paid')", "convergent", "incomplete"),
        (f"open({FOLDER} + key, 'a').write('paid')", "at_least_once", "proved"),
        (f"open({FOLDER} + key, 'w').write(str(time.time()))", "at_least_once", "proved"),
    ],
    ids=("the same", "a time", "safely", "added", "added and accepted", "a time and accepted"),
)
@pytest.mark.real
def test_what_a_passed_through_effect_leaves_in_files_is_compared(
    tmp_path: Path, write: str, guarantee: str, verdict: str
) -> None:
    """The file is all that it does: it is seen, and is the same when the effect is repeated."""
    real = 'raise RuntimeError("the real one must never run")'
    effect = {"name": "send", "call": "jobs:send", "key_arg": "key", "guarantee": guarantee}
    if guarantee == "at_least_once":
        effect["reason"] = "a line too many does no harm"
    changed = {"effects": [{**effect, "mode": "pass_through"}]}
    repo = plain_repo(tmp_path / "repo", changed=changed, was=real, becomes=write)
    proof = proof_of(repo, "kill@after:send#1")
    assert proof.verdict == verdict, proof
    if verdict == "incomplete":
        assert "effect send leaves another file than a single run" in proof.incomplete[0].message


@pytest.mark.real
def test_a_call_that_names_the_scratch_is_the_same_in_every_workplace(tmp_path: Path) -> None:
    """Two workplaces have two folders: a call was another one in each, and another key."""
    becomes = f"send({FOLDER}, key={FOLDER} + f'order-{{order_id}}')"
    repo = plain_repo(
        tmp_path / "repo", was='send(order_id, key=f"order-{order_id}")', becomes=becomes
    )
    (tried,) = proof_of(repo).tried[-1:]
    (call,) = tried.history.performed()
    assert call["key"] == "'{scratch}/order-7'"
    assert call["subject"] == "order_id='{scratch}/'"

"""The document of a proof: as published, the same facts for a person, bounded and safe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import DONE, KILLED, commit, effect, fault, history, reference, refuted
from jsonschema import Draft202012Validator
from plain_job import JOBS, plain_repo, proof_of, target_of

from skillrun.contract.job import Effect
from skillrun.core.resources import resource
from skillrun.proof.assumptions import assumptions, duration
from skillrun.proof.families.plan import Plan
from skillrun.proof.observed import is_weaker, observe
from skillrun.proof.report import plan_report, proof_report
from skillrun.proof.result import Proof, Tried, Witness
from skillrun.reports.proofs import plan_lines, proof_lines

SEND = '            send(order_id, key=f"order-{order_id}")\n'
KILL = [*effect(), fault("kill", "after:email#1"), KILLED]
EMAIL = Effect(name="email", call="app.mail:send", key_arg="key")


def valid(value: Any) -> None:
    schema = json.loads(resource("schemas", "proof.v1.json").read_text())
    problems = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(value)
    ]
    assert problems == []


def text_of(report: Any) -> str:
    return "\n".join(shown.text for shown in proof_lines(report))


@pytest.mark.real
def test_a_proof_as_document_and_as_text(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    report = proof_report(proof_of(repo, only=None), target_of(repo))
    valid(report)
    assert report["verdict"] == "proved"
    assert report["effects"][0] == {
        "name": "send",
        "declared": "keyed",
        "observed": "keyed",
        "repeated": report["effects"][0]["repeated"],
        "lost": [],
        "hint": None,
    }
    assert "between send and commit" in report["effects"][0]["repeated"]
    assert report["bounds"]["deliveries_at_once"] == 3
    assert report["bounds"]["switches"] == 2
    assert report["bounds"]["kills"] == 2
    assert report["schedules"]["total"] == sum(report["schedules"]["families"].values())
    assert "no transient error is declared" in report["skipped"]["error"]
    assert (
        "the receiver of send drops a second call with the same key for ever"
        in report["assumptions"]
    )
    assert any(
        said.startswith("each run had a process of its own") for said in report["assumptions"]
    )
    promises = report["properties"]
    assert set(promises) == {"effects", "state", "ends", "logs"}
    assert {one["verdict"] for one in promises.values()} == {"proved"}
    assert promises["effects"]["schedules"] == report["schedules"]["total"]
    shown = text_of(report)
    # One line, where they are not all the same.
    assert "promises" not in shown
    assert "proved: handle-order" in shown
    assert report["bounds"]["sentence"] in shown
    assert "did it run?       application  handle started order_id=7" in shown


@pytest.mark.real
def test_a_refutation_has_story_cause_and_replay(tmp_path: Path) -> None:
    repo = plain_repo(
        tmp_path / "repo", was='key=f"order-{order_id}"', becomes='key=f"order-{time.time()}"'
    )
    report = proof_report(
        proof_of(repo, "wait=90000 redeliver kill@after:send#1"), target_of(repo), " --spec x"
    )
    valid(report)
    assert report["verdict"] == "refuted"
    (witness,) = report["witnesses"]
    assert witness["rule"] == "effect.other-key"
    assert witness["replay"].startswith("skillrun prove --spec x --schedule '")
    assert {"jobs.py"} == {event["path"] for event in witness["events"] if event["path"]}
    assert [event["text"] for event in witness["events"] if event["fault"]] == [
        "the process is killed after send#1"
    ]
    assert report["properties"]["effects"]["verdict"] == "refuted"
    assert report["properties"]["state"] == {"verdict": "proved", "schedules": 3}
    shown = text_of(report)
    assert "promises       effects refuted; state, ends, logs proved" in shown
    for word in ("[FAULT]", "✗", "jobs.py:24", "cause", "expected", "seen", witness["replay"]):
        assert word in shown


@pytest.mark.real
def test_a_schedule_that_holds_is_no_proof(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    report = proof_report(proof_of(repo, "redeliver"), target_of(repo), only="redeliver")
    valid(report)
    assert report["given"]["reached"] is True
    assert report["log_answers"]["ran"]["by"] == "not asked"
    assert "under this one schedule; that is no proof" in text_of(report)


@pytest.mark.real
def test_a_boundary_that_is_never_reached_is_said_with_those_that_are(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    report = proof_report(
        proof_of(repo, "kill@after:nothing#1"), target_of(repo), only="kill@after:nothing#1"
    )
    valid(report)
    assert report["verdict"] == "incomplete"
    assert report["incomplete"][0]["message"] == "the job never came to after:nothing#1"
    assert "before:send#1" in report["given"]["boundaries"]
    assert "before:send#1" in text_of(report)


@pytest.mark.real
def test_a_single_run_that_fails_is_told(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", was=SEND, becomes=SEND + "            raise Away('x')\n")
    report = proof_report(proof_of(repo, None), target_of(repo))
    valid(report)
    assert "the handler raises Away: x" in [event["text"] for event in report["given"]["events"]]
    assert "the single run fails: Away: x (jobs.py:25)" in text_of(report)


@pytest.mark.real
def test_what_the_repository_says_is_bounded_and_escaped(tmp_path: Path) -> None:
    nasty = JOBS.replace("handle started order_id=%s", "%s \\x1b[31m\\u202e" + "y" * 900)
    report = proof_report(
        proof_of(plain_repo(tmp_path / "repo", jobs=nasty)), target_of(tmp_path / "repo")
    )
    valid(report)
    record = report["log_answers"]["ran"]["record"]
    assert "yyy" in record
    assert len(record) <= 200
    shown = text_of(report) + json.dumps(report, ensure_ascii=False)
    assert "\x1b" not in shown
    assert "‮" not in shown
    assert max(map(len, text_of(report).splitlines())) < 2500


@pytest.mark.real
def test_the_plan_names_boundaries_and_schedules(tmp_path: Path) -> None:
    from skillrun.proof.attempt import try_look

    target = target_of(plain_repo(tmp_path / "repo"))
    report = plan_report(try_look(target), target)
    assert {"at": "before:send#1", "kind": "effect", "path": "jobs.py", "line": 24} in report[
        "boundaries"
    ]
    assert "kill@after:send#1" in report["schedules"]
    assert "kill@after:send#1" in "\n".join(shown.text for shown in plan_lines(report))


# -- what was observed


OBSERVED: dict[str, tuple[list[Any], str]] = {
    "exactly once": ([history("redeliver", DONE, [])], "exactly_once"),
    "same key": ([history("kill@after:email#1", KILL, DONE)], "keyed"),
    "other key": ([history("kill@after:email#1", KILL, effect(key="'x'"))], "at_least_once"),
    "lost": (
        [history("kill@before:email#1", [*commit(), fault("kill", "before:email#1"), KILLED])],
        "at_most_once",
    ),
    "both": (
        [
            history("kill@after:email#1", KILL, DONE),
            history("kill@before:email#1", [*commit(), fault("kill", "before:email#1"), KILLED]),
        ],
        "none",
    ),
    "not met": ([history("kill@before:email#1", DONE)], "unknown"),
    "nothing that must be done": ([history("poison=0", [])], "unknown"),
}


@pytest.mark.parametrize(
    ("verb", "commands", "said"),
    [
        ("hincrby", None, "points"),
        ("exec", ["set done-7", "incr points"], "points"),
        ("set", None, None),
    ],
)
def test_what_is_added_to_in_redis_is_said(
    tmp_path: Path, verb: str, commands: list[str] | None, said: str | None
) -> None:
    call = (
        "at",
        {
            "when": "after",
            "kind": "redis",
            "name": "redis#1",
            "verb": verb,
            "key": "points",
            "commands": commands,
        },
    )
    once = history("once", [*effect(), call, *commit()])
    target = target_of(plain_repo(tmp_path / "repo"))
    told = assumptions(Proof("proved", [], [], [], Plan(), replace(reference(), once=once)), target)
    assert any("adds to in Redis" in words and words.endswith(f": {said}") for words in told) is (
        said is not None
    )


@pytest.mark.parametrize(
    ("store", "is_said"), [("db:app", True), ("sqlite:/app.db", False)], ids=("server", "sqlite")
)
def test_that_a_servers_clock_stands_still_is_said(
    tmp_path: Path, store: str, is_said: bool
) -> None:
    sql = "select 1 from claims where until < now()"
    asked = ("at", {"when": "before", "kind": "sql", "name": "s#1", "store": store, "sql": sql})
    seen = history("once", [*effect(), asked, *commit()])
    proof = Proof("proved", [Tried(seen.schedule, seen, ())], [], [], Plan(), reference())
    told = assumptions(proof, target_of(plain_repo(tmp_path / "repo")))
    assert any("stands still here" in words for words in told) is is_said


@pytest.mark.parametrize("name", OBSERVED)
def test_the_observed_guarantee(name: str) -> None:
    histories, guarantee = OBSERVED[name]
    assert observe(EMAIL, histories, reference()).guarantee == guarantee


def test_the_window_lies_between_what_lasts() -> None:
    seen = observe(EMAIL, [history("kill@after:email#1", KILL, DONE)], reference())
    assert seen.repeated == ("between email and commit",)


def test_without_a_key_a_repetition_is_at_least_once() -> None:
    unkeyed = replace_key(EMAIL)
    assert (
        observe(unkeyed, [history("kill@after:email#1", KILL, DONE)], reference()).guarantee
        == "at_least_once"
    )


def replace_key(of: Effect) -> Effect:
    return of.model_copy(update={"key_arg": None, "guarantee": "at_least_once"})


@pytest.mark.parametrize(
    ("declared", "observed", "weaker"),
    (
        ("at_least_once", "exactly_once", True),
        ("at_least_once", "keyed", True),
        ("keyed", "exactly_once", True),
        ("keyed", "keyed", False),
        ("transactional", "exactly_once", False),
        ("at_most_once", "none", False),
        ("keyed", "unknown", False),
    ),
)
def test_a_declared_guarantee_that_is_weaker_than_the_observed_one(
    declared: str, observed: str, weaker: bool
) -> None:
    assert is_weaker(declared, observed) is weaker


def test_an_unstable_witness_is_marked(tmp_path: Path) -> None:
    seen = history("kill@after:email#1", KILL, DONE)
    tried = Tried(seen.schedule, seen, ())
    proof = Proof(
        "refuted", [tried], [Witness(tried, refuted("effect.repeated"), 1)], reference=reference()
    )
    report = proof_report(proof, target_of(plain_repo(tmp_path / "repo")))
    valid(report)
    assert report["witnesses"][0]["stable"] is False
    assert "unstable: seen again 1 times of 3" in text_of(report)


@pytest.mark.parametrize(
    ("seconds", "words"),
    ((86400, "24 h"), (604800, "7 d"), (90, "90 s"), (60, "1 min"), (0.5, "0.5 s")),
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


TELLS_OF_FAILURES = (
    f"            try:\n    {SEND}            except Away:\n"
    '                open(os.path.dirname(DB) + "/away.txt", "a").write("x")\n'
    "                raise\n"
)


@pytest.mark.real
def test_what_is_incomplete_under_a_schedule_says_how_to_run_that_again(tmp_path: Path) -> None:
    passing = {"failures": {"transient": ["jobs:Away"]}}
    repo = plain_repo(tmp_path / "repo", changed=passing, was=SEND, becomes=TELLS_OF_FAILURES)
    asked = "raise=jobs:Away@before:send#1"
    report = proof_report(proof_of(repo, asked), target_of(repo), only=asked)
    valid(report)
    (reason,) = report["incomplete"]
    assert reason["rule"] == "effect.undeclared"
    assert reason["replay"].startswith("skillrun prove")
    assert asked in reason["replay"]
    assert f"replay: {reason['replay']}" in text_of(report)

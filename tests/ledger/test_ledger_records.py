"""What a run leaves in the ledger for an auditor: the lines that findings speak of, and the
histories of a proof.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import helpers
import pytest
import shops

from skillrun.core.verdict import Finding, Severity
from skillrun.ledger.store import Ledger
from skillrun.repo.tree import Tree
from skillrun.runner.excerpts import excerpts

sys.path.append(str(helpers.ROOT / "tests" / "proof"))

CODE = "".join(f"line {number}\n" for number in range(1, 21))


def finding(path: str | None, line: int | None) -> Finding:
    return Finding("rule", Severity.ERROR, "wrong", path, line)


def test_an_excerpt_has_the_lines_around(tmp_path: Path) -> None:
    tree = Tree(
        helpers.build_tree(tmp_path / "repo", {"a.py": CODE, "b.py": "one\r\ntwo\x0c three\r\n"})
    )
    with tree.recording() as lookups:
        found = excerpts(
            tree, [finding("a.py", 10), finding("a.py", 10), finding("a.py", 1), finding("b.py", 2)]
        )
    assert [(e["path"], e["line"], e["first"]) for e in found] == [
        ("a.py", 10, 7),
        ("a.py", 1, 1),
        ("b.py", 2, 1),
    ]
    assert found[0]["lines"] == [f"line {number}" for number in range(7, 14)]
    assert found[2]["lines"][1] == "two\\x0c three"
    assert len(lookups) == 0


def test_places_that_are_not_there_have_no_excerpt(tmp_path: Path) -> None:
    tree = Tree(
        helpers.build_tree(tmp_path / "repo", {"a.py": "x\n", "b.bin": b"\xff\xfe\n", "empty": ""})
    )
    places = [
        (None, 1),
        ("a.py", None),
        ("a.py", 9),
        ("a.py", 0),
        ("../a.py", 1),
        ("b.bin", 1),
        ("gone", 1),
    ]
    assert excerpts(tree, [finding(path, line) for path, line in [*places, ("empty", 1)]]) == []


def test_an_excerpt_is_masked_escaped_and_bounded(tmp_path: Path) -> None:
    code = f'password = "hunter2hunter2"\n# \u202e\x1b[31m{"y" * 900}\n'
    tree = Tree(helpers.build_tree(tmp_path / "repo", {"a.py": code}))
    (found,) = excerpts(tree, [finding("a.py", 1)])
    assert "hunter2" not in json.dumps(found)
    assert "[masked]" in found["lines"][0]
    assert "\\u202e\\x1b[31m" in found["lines"][1]
    assert len(found["lines"][1]) <= 160


@pytest.mark.real
def test_a_run_keeps_the_lines_of_its_findings(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo", "2-permanent-error-retried")
    shops.run(repo, "--trust", code=1)
    tasks = (repo / "shop/tasks.py").read_text().splitlines()
    with Ledger.open(repo / ".skillrun/ledger.db", read_only=True) as ledger:
        run_id = ledger.runs()[0]["run_id"]
        event = ledger.last_event(run_id, "stage.finished", "retry")
    assert event is not None
    places = {(f["path"], f["line"]) for f in event["data"]["result"]["findings"] if f["line"]}
    assert places == {(e["path"], e["line"]) for e in event["data"]["excerpts"]}
    for excerpt in (e for e in event["data"]["excerpts"] if e["path"] == "shop/tasks.py"):
        assert excerpt["lines"] == tasks[excerpt["first"] - 1 :][: len(excerpt["lines"])]


@pytest.mark.real
def test_histories_tell_each_family_and_every_refutation(tmp_path: Path) -> None:
    from plain_job import plain_repo, proof_of

    from skillrun.proof.stories import stories

    held = stories(proof_of(plain_repo(tmp_path / "good"), only=None))
    families = [story["family"] for story in held]
    assert len(families) == len(set(families)) > 3
    assert not any(story["refuted"] for story in held)
    assert {"began", "performed", "fault"} <= {
        step["kind"] for story in held for step in story["steps"]
    }
    bad = plain_repo(
        tmp_path / "bad", was='key=f"order-{order_id}"', becomes='key=f"order-{time.time()}"'
    )
    first = stories(proof_of(bad, only=None))[0]
    assert (first["refuted"], first["rule"]) == (True, "effect.other-key")
    assert first["cause"]

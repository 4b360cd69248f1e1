"""What the stages say of Dramatiq alone; see `stages/test_libraries.py` for the rest."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cases
import pytest
import yaml
from dramatiq_shop import BROKEN, FILES, TASKS

from skillrun.core.verdict import StageResult
from skillrun.skills.job_worker.job_case import JobCase

JITTER = {"retry.backoff.jitter": True}


def shop(
    root: Path, files: dict[str, Any] | None = None, changes: dict[str, Any] | None = None
) -> JobCase:
    return cases.build(root, FILES | (files or {}), JITTER | (changes or {}), alone=True)


def examine(
    root: Path, stage: str, files: dict[str, Any] | None = None, **changes: Any
) -> StageResult:
    return cases.examine(
        stage,
        shop(root, files, {name.replace("__", "."): value for name, value in changes.items()}),
    )


def replaced(old: str, new: str, path: str = TASKS) -> dict[str, Any]:
    assert old in FILES[path]
    return {path: FILES[path].replace(old, new)}


def test_the_tests_are_read(tmp_path: Path) -> None:
    covered = examine(tmp_path / "r", "tests").facts["covered"]
    assert all(covered.values()), covered
    replacing = (
        'def test_happy(monkeypatch, outbox):\n    monkeypatch.setattr(tasks.send_receipt, "send",'
        " print)"
    )
    patched = replaced("def test_happy(worker, outbox):", replacing, "tests/test_tasks.py")
    assert not examine(tmp_path / "p", "tests", patched).facts["covered"]["happy"]


def test_it_is_identified(tmp_path: Path) -> None:
    facts = examine(tmp_path / "r", "identify").facts
    assert (facts["framework"], facts["app"]) == ("dramatiq", "shop/broker.py:broker")


def test_dramatiqs_own_dead_letters_are_a_place(tmp_path: Path) -> None:
    spec = copy.deepcopy(cases.SPEC) | {"dead_letter": {"kind": "framework"}}
    spec["retry"]["backoff"]["jitter"] = True
    case = cases.build(tmp_path / "r", FILES, spec=yaml.safe_dump(spec), alone=True)
    assert cases.rules(cases.examine("dead-letter", case)) == []


def test_who_means_dramatiqs_own_dead_letters_is_told_their_name(tmp_path: Path) -> None:
    spec = copy.deepcopy(cases.SPEC) | {"dead_letter": {"kind": "queue", "where": "default.XQ"}}
    _, files, _ = BROKEN["no record"]
    case = cases.build(tmp_path / "r", FILES | files, spec=yaml.safe_dump(spec), alone=True)
    found = next(
        f
        for f in cases.examine("dead-letter", case).findings
        if f.rule == "dead-letter.not-written"
    )
    assert found.hint and found.hint.endswith(
        "where dramatiq's own dead letters are meant: dead_letter: {kind: framework}"
    )


@pytest.mark.real
def test_a_jitter_that_lengthens_is_written_with_either_end(tmp_path: Path) -> None:
    """Dramatiq waits once to twice min_backoff; the spec's jitter shortens."""
    for number, base in enumerate(("2s", "4s")):
        found = examine(tmp_path / str(number), "retry", retry__backoff__base=base)
        assert "retry.backoff-differs" not in cases.rules(found)
    found = examine(tmp_path / "other", "retry", retry__backoff__base="3s")
    assert "retry.backoff-differs" in cases.rules(found)


def test_an_error_of_a_library_is_an_exception(tmp_path: Path) -> None:
    """`Exception` is retried, whatever a library derives its errors from."""
    changes = {"failures__transient": ["shop.mailer:Unavailable", "requests:Timeout"]}
    assert not cases.has(
        examine(tmp_path / "r", "retry", None, **changes), "retry.transient-not-retried"
    )

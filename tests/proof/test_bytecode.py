"""What is proved is the source that stands there, whatever Python has compiled from another one."""

from __future__ import annotations

import py_compile
from pathlib import Path

import pytest
from plain_job import plain_repo, proof_of

FROM_THE_KEY = 'key=f"order-{order_id}"'
FROM_THE_CLOCK = 'key=f"order-{time.time_ns()}"'


def compile_unchecked(source: Path) -> None:
    """Bytecode that Python takes for its source without a look at it."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), doraise=True, invalidation_mode=mode)


def test_bytecode_of_a_good_source_does_not_hide_a_bad_one(tmp_path: Path) -> None:
    root = plain_repo(tmp_path / "repo")
    source = root / "jobs.py"
    compile_unchecked(source)
    source.write_text(source.read_text().replace(FROM_THE_KEY, FROM_THE_CLOCK))
    assert proof_of(root, "kill@after:send#1").verdict == "refuted"


@pytest.mark.real
def test_bytecode_of_a_bad_source_is_not_held_against_a_good_one(tmp_path: Path) -> None:
    root = plain_repo(tmp_path / "repo", was=FROM_THE_KEY, becomes=FROM_THE_CLOCK)
    source = root / "jobs.py"
    compile_unchecked(source)
    source.write_text(source.read_text().replace(FROM_THE_CLOCK, FROM_THE_KEY))
    assert proof_of(root, "kill@after:send#1").verdict == "proved"

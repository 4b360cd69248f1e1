"""Work that kills its poller at each tick: where the spec says how often, that is tried."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

from skillrun.contract.spec import load_spec
from skillrun.proof.families import deaths, registry
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

SPEC, POLLER = ".skillrun/jobs/send-invoice.yaml", "billing/poller.py"
BOUND = (SPEC, "dead_letter:", "worker: {deliveries: 5}\ndead_letter:")
GUARD = (
    POLLER,
    '    if "@" not in row["email"]:\n',
    '    if row["attempts"] > MAX_ATTEMPTS:\n'
    '        give_up(connection, row, "its process died each time")\n        return\n'
    '    if "@" not in row["email"]:\n',
)


def prove_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *edits: tuple[str, str, str]
) -> Proof:
    monkeypatch.setattr(registry, "FAMILIES", (deaths.crash_loop,))
    root = run.build("plain_poller", Mutant("H", "", edits), tmp_path.resolve() / "shop")
    spec = load_spec(root / SPEC, root=root)
    return prove(Target(spec, root, None))


@pytest.mark.real
@pytest.mark.parametrize(
    ("edits", "expected"),
    [((BOUND,), ["attempts.deaths"]), ((BOUND, GUARD), []), ((), [])],
    ids=["nothing ends it", "it is counted", "nothing is promised"],
)
def test_a_piece_of_work_that_kills_its_poller(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edits: tuple[tuple[str, str, str], ...],
    expected: list[str],
) -> None:
    proof = prove_with(tmp_path, monkeypatch, *edits)
    tried = [one.schedule for one in proof.tried if one.schedule.family == "crash-loop"]
    assert bool(tried) is (BOUND in edits)
    assert [one.judgement.rule for one in proof.witnesses] == expected

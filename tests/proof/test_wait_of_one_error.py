"""A poller waits after one error for as long as the spec says of that error, not as the backoff."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

from skillrun.contract.spec import load_spec
from skillrun.proof.attempt import try_prove
from skillrun.proof.result import Target

SPEC, POLLER = ".skillrun/jobs/send-invoice.yaml", "billing/poller.py"
DECLARED = (
    SPEC,
    "transient: [billing.mailer:Unavailable, TimeoutError]",
    "transient: [billing.mailer:Unavailable, {type: TimeoutError, wait: 30m}]",
)


def wait_so_long(seconds: int) -> tuple[str, str, str]:
    special = f"    if isinstance(error, TimeoutError):\n        wait = {seconds}\n"
    whole = '    wait = min(BASE_S * 2 ** (row["attempts"] - 1), CAP_S)\n'
    return POLLER, whole, whole + special


@pytest.mark.real
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1800, []), (3500, ["delays.too-long"]), (300, ["delays.too-short"])],
    ids=["as declared", "longer", "shorter"],
)
def test_the_ticks_follow_the_wait_of_the_error(
    tmp_path: Path, seconds: int, expected: list[str]
) -> None:
    mutant = Mutant("H", "", (DECLARED, wait_so_long(seconds)))
    root = run.build("plain_poller", mutant, tmp_path.resolve() / "shop")
    target = Target(load_spec(root / SPEC, root=root), root, None)
    proof = try_prove(target, only="raise=TimeoutError@before:email#1/*")
    assert [one.judgement.rule for one in proof.witnesses] == expected, proof.incomplete

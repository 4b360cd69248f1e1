"""For a repository's own tests: one schedule of faults, which the handler must stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillrun.proof.judgement import Verdict


def assert_holds(
    spec: str | Path,
    schedule: str | None = None,
    *,
    root: str | Path = ".",
    driver: str | None = None,
    paths: Sequence[str] = (),
) -> None:
    """Runs a job under one schedule (None: under all of them). AssertionError, with the story,
    where it is not proved.

    `spec` and `paths` (source roots) are relative to `root`, the repository; `driver` is the id of
    the job library,
    None for a plain callable. A schedule whose fault is never reached shows nothing: an
    AssertionError, too.
    """
    from skillrun.contract.spec import load_spec
    from skillrun.proof.attempt import try_prove
    from skillrun.proof.report import proof_report
    from skillrun.proof.result import Target
    from skillrun.repo.profile import load_profile

    place = Path(root).resolve()
    profile = load_profile(place)
    contract = frozenset(profile.contract_risks if profile else ())
    target = Target(load_spec(place / spec, root=place), place, driver, tuple(paths), contract)
    proof = try_prove(target, only=schedule)
    if proof.verdict is not Verdict.PROVED:
        raise AssertionError(told(proof_report(proof, target, f" --spec {spec}", schedule)))


def told(report: Mapping[str, Any]) -> str:
    """The refutations as text, else what keeps the proof from an answer."""
    lines = [f"{report['verdict']}: {report['job']}"]
    for witness in report["witnesses"]:
        lines += [f"{witness['message']} ({witness['rule']})", f"cause: {witness['cause']}"]
        lines += (
            [f"expected: {witness['expected']}", f"seen: {witness['seen']}"]
            if witness["expected"]
            else []
        )
        lines += [_step(event) for event in witness["events"]]
        lines.append(f"replay: {witness['replay']}")
    lines += [f"incomplete: {item['message']}" for item in report["incomplete"]]
    return "\n".join(lines)


def _step(event: Mapping[str, Any]) -> str:
    place = f"  {event['path']}:{event['line']}" if event["path"] else ""
    mark = "[FAULT] " if event["fault"] else ""
    return f"  {event['number']:>2}. {event['process']}: {mark}{event['text']}{place}"

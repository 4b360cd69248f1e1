"""Prints what a simulated and a real worker make of the same schedules, for each job library.

    python tests/proof/confirm_matrix.py [CORPUS ...] [--wait]

--wait: retries wait as long as they say. Else a wait is told, and cut short. Exit 1 where the two
differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "corpus"), str(HERE.parents[1])]
import run as corpus  # noqa: E402

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.proof.confirm.interface import Confirmed

SUBJECTS = (
    "celery_receipt",
    "rq_invoice",
    "dramatiq_refund",
    "huey_shipment",
    "arq_confirmation",
    "saq_ticket",
    "taskiq_parcel",
    "procrastinate_reminder",
    "django_q2_pass",
    "django_tasks_notice",
)


def schedules(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """(what it is, its text)."""
    effect, failures = next(iter(spec.effects or ())).name, spec.failures
    assert failures is not None
    transient, permanent = failures.transient[0].type, failures.permanent[0].type
    yield "once", "once"
    yield "delivered again", "redeliver"
    yield "published again", "re-enqueue"
    yield "child killed before", f"kill@before:{effect}#1"
    yield "child killed after", f"kill@after:{effect}#1"
    yield "child killed after mark", "kill@after:commit#1"
    yield "worker killed after", f"kill-worker@after:{effect}#1"
    yield "worker killed twice", f"kill-worker@after:{effect}#1 kill-worker@before:{effect}#1/2"
    yield "killed, lost, published", f"kill@after:{effect}#1 lose re-enqueue"
    yield "transient before", f"raise={transient}@before:{effect}#1"
    yield "transient after", f"raise={transient}@after:{effect}#1"
    yield "exhaustion", f"raise={transient}@before:{effect}#*/*"
    yield "permanent", f"raise={permanent}@before:{effect}#*/*"
    yield "receiver not there", f"refuse@before:{effect}#1"
    yield "receiver hangs up", f"hang-up@before:{effect}#1"
    yield "receiver out of service", f"answer=503@before:{effect}#1"
    if spec.proof and spec.proof.poison and spec.enqueue is None:
        yield "poison", "poison=0"


def table(name: str, wait_s: float | None) -> Iterator[tuple[str, Confirmed]]:
    """(what the schedule is, what became of it) for the correct handler of a corpus."""
    from skillrun.contract.spec import load_spec
    from skillrun.proof.confirm.compare import confirm_one
    from skillrun.proof.confirm.run import Stage
    from skillrun.proof.explorer import Explorer
    from skillrun.proof.result import Target
    from skillrun.proof.schedule import parse_schedule
    from skillrun.proof.workplace import Workplace

    module = corpus.load(name)
    with tempfile.TemporaryDirectory(prefix="confirm-") as temporary:
        root = corpus.build(name, None, Path(temporary).resolve() / name)
        spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
        with Workplace(spec, root, module.DRIVER, ()) as workplace:
            workplace.start_servers()
            workplace.set_up()
            explorer = Explorer(workplace)
            explorer.begin({0: spec.examples[0]})
            after_s = float(explorer.facts.redelivery_s)
            with Stage(
                Target(spec, root, module.DRIVER), redelivery_s=after_s, wait_s=wait_s
            ) as stage:
                for what, text in schedules(spec):
                    history = explorer.run(parse_schedule(text))
                    jitter = bool(spec.retry and spec.retry.backoff and spec.retry.backoff.jitter)
                    yield what, confirm_one(stage, history, after_s, frozenset(), jitter=jitter)


def row(what: str, item: Confirmed) -> str:
    """One line."""
    real = item.real
    here = item.simulated
    mark = {True: "ok ", False: "BAD", None: "?  "}[item.agrees]
    took = f"{real.seconds:4.1f} s" if real and real.seconds else ""
    waits = " ".join(f"{delay:.0f}" for delay in (real or here).delays)
    simulated = " ".join(f"{delay:.0f}" for delay in here.delays)
    calls = f"{len(here.performed)}/{len(real.performed) if real else '-'}"
    runs = f"{len(here.outcomes)}/{len(real.outcomes) if real else '-'}"
    dead = f"{here.dead_letters}/{real.dead_letters if real else '-'}"
    return (
        f"{mark} {what:<25} {runs:>9} {calls:>9} {dead:>9}  {simulated or '-':>12} |"
        f" {waits or '-':<12} {took:>7}  {item.schedule}{f'  -- {item.note}' if item.note else ''}"
    )


def main() -> int:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--wait", action="store_true")
    options = parser.parse_args()
    wrong = 0
    for name in options.names or SUBJECTS:
        print(
            f"\n{name}\n    {'simulated/real':<25} {'deliver.':>9} {'effects':>9} {'dead':>9} "
            f" {'waits in s':>12}"
        )
        for what, item in table(name, None if options.wait else 0.2):
            print(row(what, item), flush=True)
            wrong += item.agrees is not True
    print(f"\n{wrong} not confirmed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

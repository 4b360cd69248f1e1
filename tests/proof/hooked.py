"""Runs a handler once in a real zygote and hands back what its process reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import helpers

from skillrun.contract.job import JobSpec, Proof
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.workplace import Workplace


@contextmanager
def explorer(root: Path, files: Mapping[str, str], **proof: Any) -> Iterator[Explorer]:
    """An explorer of `jobs:main` in a folder with these files."""
    helpers.write_files(root, files)
    spec = JobSpec(
        version=1, job="sample", handler="jobs:main", message="payload", proof=Proof(**proof)
    )
    with Workplace(spec, root, None, ()) as workplace:
        workplace.start_servers()
        workplace.set_up()
        made = Explorer(workplace)
        made.begin({0: {}})
        yield made


def history(root: Path, jobs: str, schedule: str = "once", **proof: Any) -> History:
    """What a schedule of a handler came to."""
    with explorer(root, {"jobs.py": jobs}, **proof) as made:
        return made.run(parse_schedule(schedule))


def run(root: Path, jobs: str, **proof: Any) -> Delivery:
    """One delivery that returned."""
    delivery = history(root, jobs, **proof).runs[0]
    assert delivery.first("returned"), [
        dict(e.data) for e in delivery.events if e.kind in ("raised", "probe-error")
    ]
    return delivery


def after(delivery: Delivery) -> list[str]:
    """The names of the boundaries that were passed, in order."""
    return [event["name"] for event in delivery.all("at") if event["when"] == "after"]


def find(delivery: Delivery, name: str) -> Event:
    """The boundary after `name`."""
    return next(e for e in delivery.all("at") if e["name"] == name and e["when"] == "after")

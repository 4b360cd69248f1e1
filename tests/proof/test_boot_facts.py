"""What an interpreter of the proof says of its boot: read back as it was said, or refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from skillrun.probe.facts import BootFacts, Facts, add_boot, read_facts

SAID = add_boot(
    Facts(library="rq 3.0.0", redelivery_s=480.0, acks_late=True, max_attempts=5),
    file="/shop/tasks.py",
    loggers=("rq.",),
    foreign_errors={"charge": ("shop.errors:Busy",)},
    has_gate=True,
)


def document(**changed: Any) -> Any:
    """As it arrives."""
    return {**json.loads(json.dumps(dataclasses.asdict(SAID))), **changed}


def test_what_is_said_arrives() -> None:
    assert read_facts(document()) == SAID
    assert read_facts(document(redelivery_s=480)).redelivery_s == 480.0


@pytest.mark.parametrize(
    "changed",
    [
        {"library": None},
        {"library": ["rq"]},
        {"redelivery_s": "480"},
        {"redelivery_s": True},
        {"lossy": 1},
        {"max_attempts": True},
        {"loggers": "rq."},
        {"loggers": [1]},
        {"foreign_errors": ["charge"]},
        {"foreign_errors": {"charge": "shop.errors:Busy"}},
        {"more": 1},
    ],
    ids=str,
)
def test_what_no_zygote_says_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        read_facts(document(**changed))


def test_all_of_it_must_be_there() -> None:
    for name in (one.name for one in dataclasses.fields(BootFacts)):
        short = document()
        del short[name]
        with pytest.raises(ValueError):
            read_facts(short)


@pytest.mark.parametrize("said", [None, [], "booted", 1])
def test_no_document_is_refused(said: Any) -> None:
    with pytest.raises(ValueError):
        read_facts(said)

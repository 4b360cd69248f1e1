"""A fleet's policy that a branch leaves, weakens or deviates from; and the branches that may."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from looks import everything, found, severities

FILE = "policy/fleet.json"
POLICY = {"schema_version": 1, "required_checks": ["lint"], "risks": ["broker-lost"]}
LATER = {"risk": "broker-lost", "reason": "later"}


def extending(policy: Any = POLICY, file: str = FILE, *without: dict[str, str]) -> dict[str, str]:
    """A profile that extends the policy, and the policy."""
    text = json.dumps(policy)
    said = {"file": file, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    profile = {"extends": said | ({"deviations": [*without]} if without else {})}
    return {"REPO_PROFILE.json": json.dumps(profile, indent=1), file: text}


BASE = extending()
ATTACKS = {
    "left": {"REPO_PROFILE.json": "{}", FILE: BASE[FILE]},
    "gone with its file": {},
    "no JSON": BASE | {"REPO_PROFILE.json": "{"},
    "a deviation": extending(POLICY, FILE, LATER),
    "asks for less": extending(POLICY | {"risks": []}),
    "asks for another": extending(POLICY | {"risks": ["early"]}),
    "another file": BASE | extending(POLICY | {"risks": []}, "policy/ours.json"),
    "one that is no policy": extending([]),
}


@pytest.mark.parametrize("after", ATTACKS.values(), ids=ATTACKS)
def test_what_takes_from_the_policy_is_found(after: dict[str, str]) -> None:
    assert set(severities(found("weaker-policy", BASE, after))) == {"error"}


def test_each_lost_demand_is_named() -> None:
    findings = found("weaker-policy", BASE, extending({"schema_version": 1}))
    said = " ".join(finding.message for finding in findings)
    assert "check `lint`" in said
    assert "risk `broker-lost`" in said


def test_a_stricter_policy_is_a_reviewers_question() -> None:
    more = POLICY | {"risks": ["broker-lost", "early"]}
    assert severities(found("weaker-policy", BASE, extending(more))) == ["warning"]


HONEST = {
    "a first policy": ({}, extending(POLICY, FILE, LATER)),
    "a deviation less": (extending(POLICY, FILE, LATER), BASE),
    "another reason": (
        extending(POLICY, FILE, LATER),
        extending(POLICY, FILE, LATER | {"reason": "until May"}),
    ),
    "something beside it": (BASE, BASE | {"notes.json": "{}"}),
    "a profile elsewhere": (
        {"docs/REPO_PROFILE.json": BASE["REPO_PROFILE.json"]},
        {"docs/REPO_PROFILE.json": "{}"},
    ),
}


@pytest.mark.parametrize("before,after", HONEST.values(), ids=HONEST)
def test_what_takes_nothing_is_no_finding(before: dict[str, str], after: dict[str, str]) -> None:
    assert everything(before, after) == []

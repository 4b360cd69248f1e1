"""A fleet's policy that a profile extends: pinned by its digest, deviations named, nothing hidden."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.core.errors import ProfileInvalid
from skillrun.frameworks.celery import FRAMEWORK as celery
from skillrun.repo.profile import Profile, find_contradictions, load_profile
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree

FILE = "policy/fleet.json"
POLICY = {"schema_version": 1, "required_checks": ["lint"], "risks": ["broker-lost", "back-late"]}


def extending(root: Path, policy: Any = POLICY, **changes: Any) -> Path:
    """A repository whose profile extends the policy; `changes` are laid over `extends`."""
    text = policy if isinstance(policy, str) else json.dumps(policy)
    said = {"file": FILE, "sha256": hashlib.sha256(text.encode()).hexdigest(), **changes}
    own = {"required_checks": ["test"], "risks": ["broker-lost"]}
    profile = json.dumps({"quality_bar": own, "extends": said}, indent=1)
    helpers.write_files(root, {FILE: text, "REPO_PROFILE.json": profile})
    return root


def loaded(root: Path) -> Profile:
    profile = load_profile(root)
    assert profile is not None
    return profile


def test_what_the_policy_asks_is_asked_beside_the_repositorys_own(tmp_path: Path) -> None:
    profile = loaded(extending(tmp_path))
    assert profile.required_checks == ("test", "lint")
    assert profile.contract_risks == ("broker-lost", "back-late")


def test_a_deviation_leaves_out_one_demand_and_is_named(tmp_path: Path) -> None:
    """What the repository asks of itself stays: the policy is left, and not its own word."""
    without = [
        {"risk": "back-late", "reason": "no visibility timeout here"},
        {"risk": "broker-lost", "reason": "left to us"},
        {"check": "lint", "reason": "later"},
    ]
    root = extending(helpers.build_tree(tmp_path / "repo", {}), deviations=without)
    profile = loaded(root)
    assert profile.required_checks == ("test",)
    assert profile.contract_risks == ("broker-lost",)
    found = find_contradictions(profile, survey_tree(Tree(root), [celery.recogniser()]))
    said = [one.message for one in found if one.rule == "profile.deviation"]
    assert said[0] == f"without the risk back-late of {FILE}: no visibility timeout here"
    assert len(said) == 3


@pytest.mark.parametrize("name", ["make audit", "tests", "none"])
def test_a_check_that_nobody_runs_is_refused(name: str, tmp_path: Path) -> None:
    """It would be taken for passed, wherever it stands."""
    asked = {"required_checks": [name]}
    root = extending(tmp_path / "policy", {"schema_version": 1, **asked})
    with pytest.raises(ProfileInvalid, match=f"extends: {FILE}: nothing runs the check {name}"):
        loaded(root)
    profile = {"commands": {"lint": "none"}, "quality_bar": asked}
    helpers.write_files(tmp_path / "own", {"REPO_PROFILE.json": json.dumps(profile)})
    with pytest.raises(ProfileInvalid, match=f"required_checks: nothing runs the check {name}"):
        loaded(tmp_path / "own")


def test_a_check_may_be_the_command_itself(tmp_path: Path) -> None:
    profile = {
        "commands": {"lint": "make audit"},
        "quality_bar": {"required_checks": ["make audit"]},
    }
    helpers.write_files(tmp_path, {"REPO_PROFILE.json": json.dumps(profile)})
    assert loaded(tmp_path).required_checks == ("make audit",)


REFUSED = {
    "another digest": ({"sha256": "0" * 64}, "extends.sha256: policy/fleet.json has the sha256"),
    "no digest": ({"sha256": "latest"}, "extends.sha256"),
    "an address": ({"file": "https://house/fleet.json"}, "cannot be read"),
    "outside": ({"file": "../fleet.json"}, "leads out of the repository"),
    "absolute": ({"file": "/etc/fleet.json"}, "leads out of the repository"),
    "no reason": ({"deviations": [{"risk": "back-late"}]}, "reason"),
    "nothing left out": ({"deviations": [{"reason": "x"}]}, "deviations.0"),
    "no demand of it": (
        {"deviations": [{"risk": "early", "reason": "x"}]},
        "the policy asks for no risk early",
    ),
    "a word that is none": ({"except": []}, "except"),
}


@pytest.mark.parametrize("changes,said", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_taken_is_refused(changes: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match=said.replace(".", r"\.")):
        load_profile(extending(tmp_path, **changes))


@pytest.mark.parametrize("policy", ["{", "[]", '{"risks": []}', "[" * 50_000])
def test_a_policy_that_is_none_is_refused(policy: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match=r"policy/fleet\.json"):
        load_profile(extending(tmp_path, policy))
    more = POLICY | {"commands": {"lint": "true"}}
    with pytest.raises(ProfileInvalid, match="commands"):
        load_profile(extending(tmp_path, more))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    root = extending(tmp_path)
    (root / FILE).unlink()
    make(root / FILE)
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        load_profile(root)


@pytest.mark.real
def test_a_run_is_refused_where_the_policy_was_edited(tmp_path: Path) -> None:
    """The digest in the profile is still that of the base."""
    root = extending(helpers.build_tree(tmp_path / "repo", {"a.py": ""}))
    helpers.write_files(root, {FILE: json.dumps(POLICY | {"risks": []})})
    done = helpers.run_cli("detect", cwd=root)
    assert done.returncode == 4
    assert "extends.sha256" in done.stderr

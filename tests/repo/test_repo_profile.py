"""REPO_PROFILE.json: read, compared with the code, completed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillrun.core.errors import ProfileInvalid
from skillrun.core.verdict import Severity
from skillrun.frameworks.celery import FRAMEWORK as celery
from skillrun.repo.profile import find_contradictions, load_profile, profile_fields, write_profile
from skillrun.repo.survey import Survey, survey_tree
from skillrun.repo.tree import Tree

MakeRepo = Callable[..., Path]
SHOP = {
    "requirements.txt": "celery[redis]\ndjango\n",
    "shop/celery.py": "from celery import Celery\napp = Celery()\n",
    "shop/tasks.py": "from shop.celery import app\n@app.task\ndef f(): ...\n",
    "Makefile": "test:\n\tpytest\n",
}


def surveyed(root: Path) -> Survey:
    return survey_tree(Tree(root), [celery.recogniser()])


def put(root: Path, profile: Any) -> Path:
    (root / "REPO_PROFILE.json").write_text(
        profile if isinstance(profile, str) else json.dumps(profile, indent=2)
    )
    return root


def test_no_profile_is_none(tmp_path: Path) -> None:
    assert load_profile(tmp_path) is None


def test_a_profile_gives_its_parts_and_keeps_unknown_keys(tmp_path: Path) -> None:
    data = {
        "own": {"x": 1},
        "commands": {"lint": "none", "test": "make test"},
        "quality_bar": {
            "required_checks": ["test"],
            "validation_timeout": "10m",
            "risks": ["broker-lost"],
        },
        "conventions": {"package_manager": "uv"},
        "jobs": {"framework": "celery"},
    }
    profile = load_profile(put(tmp_path, data))
    assert profile is not None
    assert profile.data == data
    assert profile.commands == {"lint": "none", "test": "make test"}
    assert (profile.required_checks, profile.validation_timeout) == (("test",), 600.0)
    assert profile.contract_risks == ("broker-lost",)
    assert (profile.package_manager, profile.jobs) == ("uv", {"framework": "celery"})
    assert profile.line("jobs", "framework") == profile.line("jobs") + 1


@pytest.mark.parametrize("given", [90, 90.0, "90s", "1.5m"])
def test_time_limits(tmp_path: Path, given: object) -> None:
    profile = load_profile(put(tmp_path, {"quality_bar": {"validation_timeout": given}}))
    assert profile and profile.validation_timeout == 90.0


def check_refused(root: Path, profile: Any, *lines: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        load_profile(put(root, profile))
    said = caught.value.message.splitlines()
    assert len(said) == len(lines)
    for line, expected in zip(said, lines, strict=True):
        assert line.startswith(expected), line
    assert caught.value.hint


def test_every_violation_at_once_with_its_line(tmp_path: Path) -> None:
    profile = '{\n "stack": {"language": "python"},\n "commands": {"lint": 3},\n "jobs": []\n}\n'
    expected = [
        f"REPO_PROFILE.json:{line}" for line in ("2: stack.language", "3: commands.lint", "4: jobs")
    ]
    check_refused(tmp_path, profile, *expected)


@pytest.mark.parametrize("limit", ["soon", 0, -1, "0s", True])
def test_a_time_limit_that_is_none(tmp_path: Path, limit: object) -> None:
    check_refused(
        tmp_path,
        {"quality_bar": {"validation_timeout": limit}},
        "REPO_PROFILE.json:3: quality_bar.validation",
    )


def test_what_is_no_profile_at_all(tmp_path: Path) -> None:
    check_refused(tmp_path, "{", "REPO_PROFILE.json:1: not JSON")
    check_refused(tmp_path, "", "REPO_PROFILE.json:1")
    check_refused(tmp_path, "[]", "REPO_PROFILE.json:1")
    check_refused(tmp_path, '{"a": 1, "a": 2}', "REPO_PROFILE.json:1")
    check_refused(tmp_path, "[" * 5_000, "REPO_PROFILE.json:1")
    check_refused(tmp_path, " " * 2_000_000, "REPO_PROFILE.json: larger")
    (tmp_path / "REPO_PROFILE.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ProfileInvalid, match="not UTF-8"):
        load_profile(tmp_path)
    (tmp_path / "REPO_PROFILE.json").unlink()
    (tmp_path / "REPO_PROFILE.json").mkdir()
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        load_profile(tmp_path)


def test_what_is_written_is_valid_complete_and_never_a_guess(make_repo: MakeRepo) -> None:
    root = make_repo(SHOP)
    assert "commands" in write_profile(root, surveyed(root))
    profile = load_profile(root)
    assert profile is not None
    assert profile.data == profile_fields(surveyed(root))
    assert profile.commands == {
        "lint": "unknown",
        "typecheck": "unknown",
        "test": "make test",
        "build": "unknown",
    }
    assert profile.jobs and profile.jobs["app"] == "shop/celery.py:app"
    assert "shop/tasks.py:2" in profile.jobs["evidence"]
    assert profile.data["stack"] == {
        "frontend": "none",
        "backend": "django",
        "language": ["python"],
    }


def test_writing_again_changes_nothing(make_repo: MakeRepo) -> None:
    root = make_repo(SHOP)
    write_profile(root, surveyed(root))
    before = (root / "REPO_PROFILE.json").stat()
    assert write_profile(root, surveyed(root)) == ()
    after = (root / "REPO_PROFILE.json").stat()
    # Not when it was read: that is another moment.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_writing_keeps_values_unknown_keys_order_and_indentation(make_repo: MakeRepo) -> None:
    root = make_repo(SHOP)
    commands = '{\n\t\t"test": "unknown",\n\t\t"own": 1,\n\t\t"lint": "mine"\n\t}'
    text = '{\n\t"zeta": "é",\n\t"commands": ' + commands + ',\n\t"alpha": 2\n}\n'
    put(root, text)
    (root / "REPO_PROFILE.json").chmod(0o600)
    changed = write_profile(root, surveyed(root))
    written = (root / "REPO_PROFILE.json").read_text()
    data = json.loads(written)
    assert {"commands.test", "commands.build", "jobs"} <= set(changed)
    assert "commands.lint" not in changed
    assert list(data)[:3] == ["zeta", "commands", "alpha"]
    assert list(data["commands"]) == ["test", "own", "lint", "typecheck", "build"]
    assert (data["commands"]["test"], data["commands"]["lint"]) == ("make test", "mine")
    assert written.startswith(
        '{\n\t"zeta": "é",\n\t"commands": {\n\t\t"test": "make test",\n\t\t"own": 1,'
    )
    assert stat.S_IMODE((root / "REPO_PROFILE.json").stat().st_mode) == 0o600


def test_writing_follows_no_link_and_mends_no_broken_file(
    make_repo: MakeRepo, tmp_path: Path
) -> None:
    root = make_repo(SHOP)
    put(root, "{")
    with pytest.raises(ProfileInvalid, match="not JSON"):
        write_profile(root, surveyed(root))
    assert (root / "REPO_PROFILE.json").read_text() == "{"
    (root / "REPO_PROFILE.json").unlink()
    (root / "REPO_PROFILE.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ProfileInvalid, match="symbolic link"):
        write_profile(root, surveyed(root))
    assert not (tmp_path / "elsewhere.json").exists()


def rules_of(root: Path, profile: dict[str, Any]) -> dict[str, Severity]:
    loaded = load_profile(put(root, profile))
    assert loaded is not None
    return {
        finding.rule: finding.severity for finding in find_contradictions(loaded, surveyed(root))
    }


def test_a_profile_that_agrees_has_no_contradiction(make_repo: MakeRepo) -> None:
    root = make_repo(SHOP)
    jobs: dict[str, Any] = {
        "framework": "celery",
        "app": "shop.celery:app",
        "broker": "redis (dragonfly)",
    }
    assert rules_of(root, {"jobs": jobs, "conventions": {"package_manager": "pip"}}) == {}
    assert rules_of(root, profile_fields(surveyed(root))) == {}
    assert rules_of(root, {}) == {}
    assert rules_of(root, {"jobs": {"framework": "unknown"}}) == {}


def test_a_profile_that_contradicts_the_code(make_repo: MakeRepo) -> None:
    root = make_repo(SHOP)
    jobs = {
        "framework": "celery",
        "app": "old/app.py:app",
        "broker": "rabbitmq",
        "task_modules": ["shop/gone.py"],
    }
    found = rules_of(root, {"jobs": jobs, "conventions": {"package_manager": "poetry"}})
    assert set(found) == {
        "profile.app",
        "profile.broker",
        "profile.task-modules",
        "profile.package-manager",
    }
    assert set(found.values()) == {Severity.WARNING}
    assert rules_of(root, {"jobs": {"framework": "rq"}}) == {"profile.framework": Severity.ERROR}
    assert rules_of(root, {"jobs": {"framework": "none"}}) == {"profile.framework": Severity.ERROR}


def test_a_framework_that_is_not_found(make_repo: MakeRepo) -> None:
    root = make_repo({"a.py": "x = 1"})
    assert rules_of(root, {"jobs": {"framework": "celery"}}) == {
        "profile.framework": Severity.WARNING
    }
    assert rules_of(root, {"jobs": {"framework": "none"}}) == {}


def test_a_contradiction_points_at_the_line(make_repo: MakeRepo) -> None:
    root = put(make_repo(SHOP), {"x": 1, "jobs": {"framework": "rq"}})
    profile = load_profile(root)
    assert profile is not None
    (finding,) = find_contradictions(profile, surveyed(root))
    assert (finding.path, finding.line) == ("REPO_PROFILE.json", 4)
    assert "celery (requirements.txt:1)" in finding.message

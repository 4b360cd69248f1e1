"""Checkpoints: the same command resumes, an edit makes exactly the right stages stale, and `why`
names the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from rows import real_but


@pytest.fixture
def repo(finished_shop: Path) -> Path:
    return finished_shop


def stale(repo: Path, code: int | None = None) -> dict[str, list[str]]:
    """Stale stage -> what changed, as `status` says."""
    done = helpers.run_cli("status", "--json", cwd=repo)
    assert done.returncode in ((0, 1) if code is None else (code,)), done.stderr
    report = json.loads(done.stdout)
    found = {s["id"]: s["changed"] for s in report["stages"] if s["stale"]}
    assert done.returncode == (1 if found else 0)
    return found


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.real
def test_the_same_command_again(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    shops.run(repo, "--trust", code=0)
    report = shops.report(repo, code=0)
    assert set(shops.stages(report, "cached").values()) == {True}
    rows = shops.telemetry(shops.ledger_of(repo))
    assert [r["invocation"] for r in rows] == [1, 2]
    assert {r["run_id"] for r in rows} == {report["run"]["id"]}
    first, second = shops.events(shops.ledger_of(repo), "invocation.ended")
    assert "report" in first["data"]
    assert second["data"]["same_as"] == first["n"]
    same = {"ts_utc", "invocation", "duration_ms"}
    assert {k: v for k, v in rows[1].items() if k not in same} == {
        k: v for k, v in rows[0].items() if k not in same
    }
    assert report["telemetry"]["invocation"] == 2
    third = shops.report(repo, code=0)
    ended = shops.events(shops.ledger_of(repo), "invocation.ended")
    assert [e["data"].get("same_as") for e in ended] == [
        None,
        first["n"],
        first["n"],
    ], "a repetition of a repetition"
    assert len(third["stages"]) == 9


EDITS: dict[str, tuple[Callable[[Path], object], str, set[str], set[str]]] = {
    # what is done, the name that `why` must give, stages that must be stale, stages that must not
    # be
    "the handler": (
        lambda r: edit(r / "shop/tasks.py", "started order_id", "began order_id"),
        "shop/tasks.py",
        {"handler", "retry", "dead-letter", "observability", "validate"},
        {"identify"},
    ),
    "a part of the spec": (
        lambda r: edit(r / shops.SPEC, "acceptable_delay: 15m", "acceptable_delay: 16m"),
        "spec: failures",
        {"idempotency", "retry", "validate"},
        {"identify"},
    ),
    "a file that enqueues, too": (
        lambda r: helpers.write_files(
            r,
            {
                "shop/again.py": (
                    "from shop.tasks import send_receipt\n\n\n"
                    "def again(i):\n    send_receipt.delay(i, 'a')\n"
                )
            },
        ),
        "shop/again.py",
        {"handler", "validate"},
        {"identify"},
    ),
    "a file that is gone": (
        lambda r: (r / "shop/mailer.py").unlink(),
        "shop/mailer.py",
        {"handler", "validate"},
        {"identify"},
    ),
    "a profile that was not there": (
        lambda r: helpers.write_files(
            r,
            {
                "REPO_PROFILE.json": (
                    '{"stack": {"frontend": "none", "backend": "celery", "language": ["python"]},'
                    ' "commands": {"lint": "make lint", "typecheck": "none", "test": "make test",'
                    ' "build": "none"}}'
                )
            },
        ),
        "REPO_PROFILE.json",
        {"identify", "validate"},
        set(),
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(EDITS, "the handler"))
def test_an_edit_makes_the_right_stages_stale(name: str, repo: Path) -> None:
    change, named, must, must_not = EDITS[name]
    change(repo)
    found = stale(repo, code=1)
    assert must <= set(found)
    assert not must_not & set(found)
    for stage in must - {"validate"} | ({"validate"} if named in str(found["validate"]) else set()):
        assert named in found[stage]
        why = shops.asked(repo, f"why {stage}")
        assert (why["stale"], named in why["changed"]) == (True, True)
    assert (
        f"stale: {', '.join(found[min(must)])} changed"
        in helpers.run_cli("why", min(must), cwd=repo).stdout
    )


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    real_but(EDITS, "the handler"),
)
def test_a_resume_works_on_what_was_stale_and_nothing_else(name: str, repo: Path) -> None:
    EDITS[name][0](repo)
    found = set(stale(repo, code=1))
    done = helpers.run_cli("run", shops.SKILL, "--trust", "--json", cwd=repo)
    report = json.loads(done.stdout)
    pending = {s["id"] for s in report["stages"] if s["status"] == "pending"}
    assert set(shops.worked(report)) == found - pending
    (run,) = {r["run_id"] for r in shops.telemetry(shops.ledger_of(repo))}
    assert report["run"]["id"] == run


@pytest.mark.real
def test_a_readme_matters_to_the_validations_alone(repo: Path) -> None:
    edit(repo / "README.md", "\n", "\nMore words.\n")
    assert stale(repo, code=1) == {"validate": ["README.md"]}
    report = shops.report(repo, "--trust", code=0)
    assert shops.worked(report) == ["validate"]


@pytest.mark.real
def test_a_touch_is_no_change(repo: Path) -> None:
    for path in (repo / "shop").glob("*.py"):
        os.utime(path)
    assert stale(repo) == {}
    assert shops.worked(shops.report(repo, code=0)) == []


@pytest.mark.real
def test_a_faked_time_hides_no_edit(repo: Path) -> None:
    shops.run(repo, code=0)
    path = repo / "shop/tasks.py"
    before = path.stat()
    edit(path, "max_retries=4", "max_retries=9")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_size == before.st_size
    assert "shop/tasks.py" in stale(repo, code=1)["retry"]
    assert shops.stages(shops.report(repo, code=1))["retry"] == "failed"


@pytest.mark.real
def test_an_edit_that_is_taken_back_leaves_nothing_stale(repo: Path) -> None:
    path = repo / "shop/tasks.py"
    text = path.read_text()
    path.write_text(text.replace("max_retries=4", "max_retries=9"))
    assert stale(repo, code=1)
    path.write_text(text)
    assert stale(repo) == {}


@pytest.mark.real
def test_a_commit_alone_makes_nothing_stale(repo: Path) -> None:
    helpers.commit(repo, "Nothing")
    assert stale(repo) == {}
    report = shops.report(repo, code=0)
    assert shops.worked(report) == []
    assert report["run"]["git_head"] == helpers.git(repo, "rev-parse", "HEAD")


def test_another_skill_text_makes_every_stage_stale(repo: Path, tmp_path: Path) -> None:
    source = helpers.ROOT / "skills" / shops.SKILL / "SKILL.md"
    text = source.read_text().replace("## Purpose", "A sentence more.\n\n## Purpose", 1)
    helpers.write_files(repo, {f".agents/skills/{shops.SKILL}/SKILL.md": text})
    found = stale(repo, code=1)
    assert set(found) == set(shops.STAGES)
    assert all("SKILL.md" in changed for changed in found.values())


@pytest.mark.real
def test_status_marks_what_is_stale_in_words(repo: Path) -> None:
    edit(repo / "README.md", "\n", "\nMore words.\n")
    done = helpers.run_cli("status", cwd=repo)
    assert done.returncode == 1
    assert "changed: README.md" in done.stdout
    assert "stale since then: validate; run the skill again" in done.stdout
    assert "Their files have changed since" in helpers.run_cli("next", cwd=repo).stdout


@pytest.mark.real
def test_an_edit_reopens_a_finished_run(repo: Path) -> None:
    (first,) = shops.telemetry(shops.ledger_of(repo))
    edit(repo / "shop/tasks.py", "max_retries=4", "max_retries=9")
    report = shops.report(repo, code=1)
    assert report["run"]["id"] == first["run_id"]
    edit(repo / "shop/tasks.py", "max_retries=9", "max_retries=4")
    report = shops.report(repo, code=0)
    assert report["run"]["id"] == first["run_id"]
    assert [r["outcome"] for r in shops.telemetry(shops.ledger_of(repo))] == [
        "success",
        "partial",
        "success",
    ]


@pytest.mark.real
def test_new_run_starts_another_every_time(repo: Path) -> None:
    ids = [
        shops.report(repo, "--new-run", "--until", "contract", code=1)["run"]["id"]
        for _ in range(2)
    ]
    rows = shops.telemetry(shops.ledger_of(repo))
    assert [r["invocation"] for r in rows] == [1, 1, 1]
    assert [r["run_id"] for r in rows[1:]] == ids
    assert len({*ids, rows[0]["run_id"]}) == 3
    assert shops.report(repo, "--until", "contract", code=1)["run"]["id"] == ids[-1]


@pytest.mark.real
def test_until_stops_and_goes_on_later(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    report = shops.report(repo, "--until", "idempotency", code=1)
    statuses = list(shops.stages(report).values())
    assert statuses == ["passed"] * 3 + ["pending"] * 6
    again = shops.report(repo, "--trust", code=0)
    assert set(shops.worked(again)) == set(shops.STAGES[3:])
    assert again["run"]["id"] == report["run"]["id"]


@pytest.mark.real
def test_status_knows_the_options_of_the_run(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    skill = tmp_path / "elsewhere" / "SKILL.md"
    text = (helpers.ROOT / "skills" / shops.SKILL / "SKILL.md").read_text()
    helpers.write_files(
        skill.parent, {"SKILL.md": text.replace("## Purpose", "More.\n\n## Purpose", 1)}
    )
    options = ("--skill", str(skill), "--set", "failures.acceptable_delay=16m")
    shops.run(repo, *options, "--trust", code=0)
    assert stale(repo) == {}
    edit(repo / "README.md", "\n", "\nMore words.\n")
    assert set(stale(repo, code=1)) == {"validate"}


@pytest.mark.real
def test_reading_commands_write_nothing(repo: Path) -> None:
    edit(repo / "shop/tasks.py", "max_retries=4", "max_retries=9")
    before: dict[str, Any] = shops.listing(repo)
    for command in (
        "status",
        "next",
        "why retry",
        "ledger list",
        "ledger verify",
        "list",
        "detect",
        "show " + shops.SKILL,
    ):
        helpers.run_cli(*command.split(), cwd=repo)
    assert shops.listing(repo) == before

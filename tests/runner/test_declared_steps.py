"""Skills without code of their own: each step and check waits for somebody's word and the file that
shows it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops

SKILL = """
    ---
    name: {name}
    description: Write a page about a part.
    metadata:
      layer: docs
      mode: {mode}
    ---

    ## Inputs
    - Part (which part of the code)
    - Reader (optional)

    ## Workflow
    1) Read the part.
    2) Write the page:
       - short
       - true

    ## Checks
    - The page names every public function.

    ## Telemetry
    - skill: `docs/{name}`
    - pages: count
    - outcome: `success | partial | blocked`
    """


def with_skill(root: Path, name: str = "page-writer", mode: str = "write") -> Path:
    return helpers.build_tree(
        root,
        {
            f".agents/skills/{name}/SKILL.md": SKILL.format(name=name, mode=mode),
            "page.md": "# Page\n",
            "a.py": "",
        },
    )


def report(repo: Path, *args: str, code: int, name: str = "page-writer") -> dict[str, Any]:
    done = helpers.run_cli(name, "--json", *args, cwd=repo)
    assert done.returncode == code, done.stdout + done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def attest(value: dict[str, Any], path: str = "page.md") -> list[str]:
    """The options that attest everything that waits for somebody's word."""
    items = {
        m
        for a in value["next"]
        if a["action"] == "attest"
        for m in re.findall(r"--attest ([\w-]+)=", a["detail"])
    }
    return [
        word
        for item in sorted(items)
        for word in ("--attest", f"{item}=done", "--evidence", f"{item}={path}")
    ]


GIVEN = ("--set", "inputs.part=a.py", "--set", "inputs.pages=1")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return with_skill(tmp_path / "repo")


@pytest.mark.real
def test_blocked_then_attested_then_success(repo: Path) -> None:
    first = report(repo, code=3)
    assert set(shops.stages(first).values()) == {"blocked"}
    options = attest(first)
    assert len(options) == 3 * 4
    done = report(repo, *GIVEN, *options, code=0)
    assert set(shops.stages(done).values()) == {"passed"}
    assert {check["status"] for check in done["checks"]} == {"passed"}
    assert set(shops.stages(done, "grade").values()) == {"declared"}
    again = report(repo, *GIVEN, code=0)
    assert set(shops.stages(again, "cached").values()) == {True}


@pytest.mark.real
def test_the_words_are_in_the_ledger_with_the_hash_of_what_shows_them(repo: Path) -> None:
    report(repo, *GIVEN, *attest(report(repo, code=3)), code=0)
    given = shops.events(shops.ledger_of(repo), "attestation.given")
    assert len(given) == 3
    assert {event["data"]["statement"] for event in given} == {"done"}
    assert all(
        re.fullmatch("[0-9a-f]{64}", event["data"]["evidence"]["page.md"]) for event in given
    )
    assert {row["skill"] for row in shops.telemetry(shops.ledger_of(repo))} == {"docs/page-writer"}
    assert json.loads(shops.telemetry(shops.ledger_of(repo))[-1]["fields"])["pages"] in (1, "1")


@pytest.mark.real
def test_changed_evidence_counts_no_more(repo: Path) -> None:
    report(repo, *GIVEN, *attest(report(repo, code=3)), code=0)
    (repo / "page.md").write_text("# Another page\n")
    changed = report(repo, *GIVEN, code=3)
    assert "declared.evidence-changed" in shops.rules(changed)
    report(repo, *GIVEN, *attest(changed), code=0)
    (repo / "page.md").unlink()
    assert "declared.evidence-gone" in shops.rules(report(repo, *GIVEN, code=3))


@pytest.mark.parametrize(
    ("path", "says"),
    (
        ("nowhere.md", "no such file in the repository"),
        ("../outside.md", "no such file in the repository"),
        ("/etc/hostname", "no such file in the repository"),
        (".git/config", "no such file in the repository"),
        (".", "no such file in the repository"),
    ),
)
def test_evidence_must_be_a_file_of_the_repository(path: str, says: str, repo: Path) -> None:
    (repo.parent / "outside.md").write_text("x")
    before = shops.listing(repo)
    done = helpers.run_cli(
        "page-writer",
        "--attest",
        "read-the-part=x",
        "--evidence",
        f"read-the-part={path}",
        cwd=repo,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert shops.listing(repo) == before


@pytest.mark.parametrize(
    ("options", "says"),
    (
        (["--attest", "read-the-part= ", "--evidence", "read-the-part=page.md"], "no statement"),
        (["--attest", "read-the-part=done"], "no evidence"),
        (["--attest", "inputs=given", "--evidence", "inputs=page.md"], "code answers to it"),
    ),
)
def test_half_an_attestation(options: list[str], says: str, repo: Path) -> None:
    before = shops.listing(repo)
    done = helpers.run_cli("page-writer", *options, cwd=repo)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert shops.listing(repo) == before


@pytest.mark.real
def test_a_skill_that_only_reads_fails_when_the_tree_changes(tmp_path: Path) -> None:
    repo = with_skill(tmp_path / "repo", "page-reader", "read")
    options = attest(report(repo, code=3, name="page-reader"))
    good = report(repo, *GIVEN, *options, code=0, name="page-reader")
    assert {c["id"]: c["status"] for c in good["checks"]}["tree-unchanged"] == "passed"
    (repo / "a.py").write_text("X = 1\n")
    bad = report(repo, *GIVEN, code=1, name="page-reader")
    (check,) = [c for c in bad["checks"] if c["id"] == "tree-unchanged"]
    assert check["status"] == "failed"
    assert "a.py" in check["text"]


def without_step(text: str, step: str) -> str:
    """SKILL.md without a numbered step and what is below it."""
    return re.sub(
        rf"(?m)^\d+[.)] [^\n]*{step}[^\n]*\n(?:[ \t]+[^\n]*\n)*",
        "",
        text,
        count=1,
        flags=re.IGNORECASE,
    )


def copy_of_bundled(repo: Path, change: Any) -> None:
    text = (helpers.ROOT / "skills" / shops.SKILL / "SKILL.md").read_text()
    changed = change(text)
    assert changed != text
    helpers.write_files(repo, {f".agents/skills/{shops.SKILL}/SKILL.md": changed.encode()})


@pytest.mark.real
def test_a_copy_of_the_bundled_skill_without_a_step_still_runs_it(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    copy_of_bundled(repo, lambda text: without_step(text, "idempotency"))
    value = shops.report(repo, "--trust", code=0)
    assert tuple(shops.stages(value)) == shops.STAGES
    assert "skill.step-missing" in shops.rules(value)
    assert shops.stages(value, "step")["idempotency"] is None
    assert "SKILL.md has no step for idempotency" in shops.run(repo, code=0)


@pytest.mark.real
def test_a_copy_of_the_bundled_skill_with_a_step_more(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    extra = "\\g<0>\n10) Tell the people on call.\n"
    copy_of_bundled(
        repo, lambda text: re.sub(r"(?m)^9[.)] [^\n]*(\n[ \t]+[^\n]*)*", extra, text, count=1)
    )
    value = shops.report(repo, "--trust", code=3)
    statuses = shops.stages(value)
    assert set(statuses) == {*shops.STAGES, "tell-the-people-on-call"}
    assert statuses["tell-the-people-on-call"] == "blocked"
    options = (
        "--attest",
        "tell-the-people-on-call=told",
        "--evidence",
        "tell-the-people-on-call=docs/operations.md",
    )
    assert shops.report(repo, *options, "--trust", code=0)["outcome"] == "success"

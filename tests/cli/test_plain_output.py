"""What a pipe gets: plain lines, no colour; and nothing in a repository can steer the terminal that
shows them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import fixtures_repos as odd
import helpers
import pytest
import shops

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
STEERING = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{BIDI}\u200b\ufeff\ud800-\udfff]")
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp\u200b"
COMMANDS = (
    "status",
    "next",
    "why validate",
    "detect",
    "jobs",
    "list",
    "ledger list",
    "ledger query recent-runs",
    "spec check x.yaml",
)


def hostile_shop(root: Path) -> Path:
    """Odd names beside a shop that names them in its spec, its skill's copy, its profile and its
    validations.
    """
    repo = odd.hostile_names(root)
    source = shops.shop(root.parent / f"{root.name}-shop")
    files = {
        name: (source / name).read_bytes() for name in helpers.git(source, "ls-files").splitlines()
    }
    tasks = (
        source / "shop/tasks.py"
    ).read_text() + f"\n# {HOSTILE}\nimport smtplib\nsmtplib.SMTP('{HOSTILE}')\n"
    makefile = f"lint:\n\t@printf '{HOSTILE}'; exit 1\n\ntest:\n\ttrue # {HOSTILE}\n"
    spec = (
        source / shops.SPEC
    ).read_text() + f"waivers: [{{item: tests, reason: 'x {BIDI}', by: 'y {BIDI}'}}]\n"
    written = {
        "shop/tasks.py": tasks.encode(),
        "Makefile": makefile.encode(),
        shops.SPEC: spec.encode(),
    }
    return helpers.write_files(
        repo, {**files, **written, "x.yaml": f"version: 1\n{BIDI}: 2\n".encode()}
    )


def check(text: str) -> None:
    found = STEERING.search(text)
    assert found is None, repr(text[max(found.start() - 80, 0) : found.end() + 20]) if found else ""


@pytest.mark.real
def test_a_hostile_repository_steers_no_terminal(tmp_path: Path) -> None:
    repo = hostile_shop(tmp_path / "repo")
    for options in ([], ["--json"]):
        for args in ([shops.SKILL, "--trust"], *(command.split() for command in COMMANDS)):
            done = helpers.run_cli(*args, *options, cwd=repo)
            assert "Traceback" not in done.stderr, done.stderr
            assert done.returncode in (0, 1, 2, 3, 4)
            check(done.stdout)
            check(done.stderr)
    run_id = shops.telemetry(shops.ledger_of(repo))[0]["run_id"]
    check(helpers.run_cli("ledger", "show", run_id, cwd=repo).stdout)


def test_hostile_content_is_read_without_harm(tmp_path: Path) -> None:
    repo = odd.hostile_content(tmp_path / "repo")
    done = helpers.run_cli(shops.SKILL, cwd=repo)
    assert done.returncode == 3, done.stderr
    check(done.stdout + done.stderr)


@pytest.mark.real
def test_a_folder_with_a_hostile_name(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "re\x1b[31m\u202epo")
    for args in (
        [shops.SKILL, "--trust"],
        ["status"],
        ["ledger", "list"],
        ["ledger", "verify"],
        ["detect", "--write"],
    ):
        done = helpers.run_cli(*args, cwd=repo)
        assert done.returncode == 0, done.stderr
        check(done.stdout + done.stderr)
    run_id = shops.telemetry(shops.ledger_of(repo))[0]["run_id"]
    check(helpers.run_cli("ledger", "show", run_id, cwd=repo).stdout)
    check(helpers.run_cli("spec", "check", shops.SPEC, cwd=repo).stdout)
    check(helpers.run_cli(shops.SKILL, "--ledger", "no\x1b[31m/such\u202e", cwd=repo).stderr)


@pytest.mark.real
def test_plain_lines_for_a_pipe(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    out = shops.run(repo, code=3, env={"TERM": "xterm-256color", "FORCE_COLOR": "1"})
    check(out)
    assert "passed   identify" in out
    assert out.rstrip().splitlines()[-1].startswith("ledger ")


@pytest.mark.real
def test_a_success_says_how_to_anchor_it_until_it_is_anchored(
    finished_shop: Path, tmp_path: Path
) -> None:
    repo, words = finished_shop, "skillrun ledger anchor keeps its heads in git"
    assert words not in shops.run(shops.shop(tmp_path / "repo"), code=3), (
        "a run that goes on has time"
    )
    elsewhere = shutil.copy(shops.ledger_of(repo), tmp_path / "elsewhere.db")
    assert words not in shops.run(repo, "--ledger", elsewhere, code=0)
    out = shops.run(repo, code=0)
    assert [len(line) <= 80 for line in out.splitlines() if words in line] == [True]
    assert helpers.run_cli("ledger", "anchor", cwd=repo).returncode == 0
    assert words not in shops.run(repo, "--trust", code=0), (
        "the same once more adds nothing to anchor"
    )
    (repo / "shop" / "new.py").write_text("LATER = True\n")
    assert words in shops.run(repo, "--trust", code=0)


@pytest.mark.real
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    script = f"{sys.executable} -m skillrun {shops.SKILL} | head -n 1; echo ${{PIPESTATUS[0]}}"
    env = helpers.clean_env(repo.with_name("repo.home"))
    done = subprocess.run(["bash", "-c", script], cwd=repo, env=env, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert len(shops.telemetry(shops.ledger_of(repo))) == 1, done.stdout


@pytest.mark.real
def test_help_is_plain(tmp_path: Path) -> None:
    for args in (["--help"], ["run", "--help"], ["ledger", "--help"], ["spec", "init", "--help"]):
        done = helpers.run_cli(*args, cwd=tmp_path, env={"TERM": "xterm-256color"})
        assert (done.returncode, done.stderr) == (0, "")
        check(done.stdout)
        assert "╭" not in done.stdout

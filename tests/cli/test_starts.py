"""Each command as a start of Python, beside the fork that the other tests take in its place: they say the same."""

from __future__ import annotations

import re
from pathlib import Path

import helpers
import pytest
import shops

from skillrun.__main__ import COMMANDS

LINES = (
    *("run job-worker-orchestration --json", "run job-worker-orchestration --bogus", "list --json", "list"),
    *("show job-worker-orchestration", "check .", f"spec check {shops.SPEC}", "spec", "detect --json"),
    *("prove --list", "verify --base nowhere", "status", "status --json", "why retry", "next", "next --json"),
    *("ledger list", "ledger verify --json", "ledger stats", "ledger query recent-runs", "ledger export", "--help"),
    *("install claude --dry-run", "uninstall claude --dry-run", "mcp --help", "hook claude stop", "doctor --nonsense"),
    *("run nothing-of-that-name", "staus", "demo --nonsense", "ledger show", "ledger import nowhere.jsonl"),
)
VARIES = re.compile(r'(?<="duration_ms": )\d+|(?<="invocation": )\d+|"head": "\w+"|"ts_utc": "[^"]+"')


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repo = shops.shop(tmp_path_factory.mktemp("starts") / "repo")
    shops.run(repo, "--trust", code=0)
    return repo


@pytest.mark.parametrize("line", LINES)
def test_a_fork_says_what_a_start_says(line: str, repo: Path) -> None:
    said = [helpers.run_cli(*line.split(), cwd=repo, starts=starts) for starts in (True, False)]
    started, forked = [(done.returncode, VARIES.sub("", done.stdout), VARIES.sub("", done.stderr)) for done in said]
    assert started == forked
    assert "Traceback" not in started[2]


def test_no_command_is_left_out() -> None:
    assert {line.split()[0] for line in LINES} >= set(COMMANDS)

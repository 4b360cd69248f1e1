"""Each command as a start of Python, beside the fork that the other tests take in its place: they
say the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from rows import real_but

from skillrun.__main__ import COMMANDS

LINES = (
    *(
        "run job-worker-orchestration --json",
        "run nothing-of-that-name",
        "staus",
        "list",
        "check .",
    ),
    *("show job-worker-orchestration", f"spec check {shops.SPEC}", "detect --json", "prove --list"),
    *(
        "verify --base nowhere",
        "status --json",
        "why retry",
        "next",
        "ledger list",
        "ledger verify --json",
    ),
    *(
        "ledger export",
        "install claude --dry-run",
        "uninstall claude --dry-run",
        "hook claude stop",
        "--help",
    ),
    *("mcp --help", "doctor --nonsense", "demo --nonsense", "trust", "rules rq", "jobs"),
    *("prove --all", "prove --all --json", "baseline --nonsense"),
    *("comment nowhere.json", f"lint {shops.SPEC} shop/tasks.py"),
)
VARIES = re.compile(
    r'(?<="duration_ms": )\d+|(?<="invocation": )\d+|(?<="head": )"\w+"|(?<="ts_utc": )"[^"]+"'
)


@pytest.mark.real
@pytest.mark.parametrize("line", real_but(LINES, "staus", "list", "status --json"))
def test_a_fork_says_what_a_start_says(line: str, finished_shop: Path) -> None:
    started, forked = [
        helpers.run_cli(*line.split(), cwd=finished_shop, starts=starts) for starts in (True, False)
    ]
    assert started.returncode == forked.returncode
    assert "Traceback" not in started.stderr
    assert (shown(started.stdout), started.stderr) == (shown(forked.stdout), forked.stderr)


def shown(text: str) -> Any:
    """JSON without its order, which says whether a report is repeated from the ledger."""
    same = VARIES.sub("0", text)
    return json.loads(same) if same.startswith("{") else same


def test_no_command_is_left_out() -> None:
    assert {line.split()[0] for line in LINES} >= set(COMMANDS)


LATE = """
import runpy, sys
import fork_server
fork_server.load_rooms()
before = set(sys.modules)
sys.argv[1:] = ["run", "job-worker-orchestration", "--until", "contract", "--json"]
try:
    runpy.run_module("skillrun", run_name="__main__", alter_sys=True)
except SystemExit:
    late = sorted(name for name in set(sys.modules) - before if name.startswith("skillrun."))
    print(*late, file=sys.stderr)
"""


@pytest.mark.real
def test_a_fork_need_not_load_anything_of_skillrun(tmp_path: Path) -> None:
    """Modules move, and each that is loaded late is loaded by a thousand forks."""
    repo = shops.shop(tmp_path / "repo")
    env = helpers.clean_env(tmp_path / "home")
    env["PYTHONPATH"] = os.pathsep.join((env["PYTHONPATH"], str(helpers.ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", LATE], cwd=repo, env=env, capture_output=True, text=True
    )
    assert stages_in(done.stdout) == ["passed", "passed"]
    assert done.stderr.split() == []


def stages_in(report: str) -> list[str]:
    """The states of the first two stages of a run."""
    return [stage["status"] for stage in json.loads(report)["stages"][:2]]

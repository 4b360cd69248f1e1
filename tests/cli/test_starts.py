"""Each command as a start of Python, beside the fork that the other tests take in its place: they
say the same.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops

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
    *("mcp --help", "doctor --nonsense", "demo --nonsense", "trust"),
)
VARIES = re.compile(
    r'(?<="duration_ms": )\d+|(?<="invocation": )\d+|(?<="head": )"\w+"|(?<="ts_utc": )"[^"]+"'
)


@pytest.mark.parametrize("line", LINES)
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

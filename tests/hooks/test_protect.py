"""What an agent may not touch, and what it may: a reader of a command line that errs on neither side."""

from __future__ import annotations

import pytest

from skillrun.hooks.protect import why_not

DENIED = (
    "sqlite3 .skillrun/ledger.db 'delete from event'",
    "rm -rf .skillrun",
    "rm -rf .skillrun/",
    "cd /tmp && rm .skillrun/ledger.db",
    "echo x > .skillrun/ledger.db",
    "cat a | tee .skillrun/ledger.db",
    "python -c \"import sqlite3; sqlite3.connect('.skillrun/ledger.db')\"",
    "mv .skillrun /tmp/x",
    "sed -i s/skillrun/true/ .claude/settings.json",
    "jq 'del(.hooks)' .claude/settings.json > .claude/settings.json",
    "rm .github/hooks/skillrun.json",
    "echo {} > .codex/hooks.json",
    "git checkout HEAD~1 -- .cursor/hooks.json",
    "git clean -fdx",
    "git -c a=b clean -d -x -f",
    "git rm --cached .gemini/settings.json",
    "SKILLRUN_ACTOR=human:me skillrun job-worker-orchestration",
    "export SKILLRUN_LEDGER=/tmp/mine.db",
    "skillrun uninstall claude",
    "find .skillrun -name 'ledger*' -delete",
    "chmod 600 .skillrun/ledger.db",
    "cp /tmp/mine.db .skillrun/ledger.db",
)
ALLOWED = (
    "ls -la",
    "ls -la .skillrun",
    "cat .skillrun/jobs/send-receipt.yaml",
    "sed -i s/4/5/ .skillrun/jobs/send-receipt.yaml",
    "vim .skillrun/jobs/send-receipt.yaml",
    "cat .claude/settings.json",
    "grep -n skillrun .claude/settings.json | head",
    "git add .skillrun/jobs && git commit -m 'The job spec'",
    "git diff -- .claude/settings.json",
    "git log --stat -- .skillrun",
    "git clean -fd",
    "skillrun job-worker-orchestration --json > report.json",
    "skillrun ledger query recent-runs",
    "skillrun next",
    "python -m pytest -q",
    "stat .skillrun/ledger.db",
    "rm -rf build/",
)


@pytest.mark.parametrize("command", DENIED)
def test_denied(command: str) -> None:
    assert why_not(command, (), "/repo")


@pytest.mark.parametrize("command", ALLOWED)
def test_allowed(command: str) -> None:
    assert why_not(command, (), "/repo") is None


@pytest.mark.parametrize(
    ("path", "denied"),
    [
        (".skillrun/ledger.db", True),
        ("/repo/.skillrun/ledger.db-wal", True),
        ("shop/../.claude/settings.json", True),
        (".claude/settings.local.json", True),
        (".github/hooks/skillrun.json", True),
        (".opencode/plugin/skillrun.ts", True),
        (".skillrun/installed.json", True),
        (".skillrun/jobs/send-receipt.yaml", False),
        (".github/workflows/ci.yml", False),
        ("shop/tasks.py", False),
        ("docs/ledger.md", False),
    ],
)
def test_files_that_a_tool_writes(path: str, denied: bool) -> None:
    assert bool(why_not(None, (path,), "/repo")) is denied


def test_a_denial_says_what_to_do_instead() -> None:
    said = why_not("rm .skillrun/ledger.db", (), "/repo")
    assert said is not None
    assert "skillrun ledger query" in said or "ledger query" in said

"""What an agent may not touch, and what it may: a reader of a command line that errs on neither
side.
"""

from __future__ import annotations

import pytest

from skillrun.agents.hooks.protect import why_not

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
    "env -u CLAUDECODE skillrun run job-worker-orchestration",
    "unset CLAUDECODE; skillrun next",
    "CLAUDECODE= skillrun next",
    "env -i skillrun next",
    "skillrun job-worker-orchestration --waive tests=later",
    "skillrun trust --agents",
    "rm -rf .claude",
    "mv .claude x",
    "git rm -r .codex",
    "git checkout main -- .claude",
    "rm -r .github/hooks",
    "rm .opencode/plugins/skillrun.js",
    "rm ~/.copilot/hooks/skillrun.json",
    "git stash --all",
    "git stash -a",
    "rm -rf .skillrun/led*",
    "rm -rf .skill*",
    "git clean -f -d '-x'",
    "echo $(rm .skillrun/ledger.db)",
    "echo `rm .skillrun/ledger.db`",
    "find .skillrun/ledger.db -execdir rm {} +",
    "git diff --output=.claude/settings.json",
    "echo {} >.claude//settings.json",
    "echo {} > .claude/'settings.json'",
    "skillrun 'uninstall' claude",
    "skillrun \\\n uninstall claude",
    "rm ~/.local/state/skillrun/consents.json",
    "sed -i.bak s/a/b/ .claude/settings.json",
    "cat x && rm -rf .skillrun && ls",
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
    "sed -n '1,200p' .claude/settings.json",
    "nl -ba .claude/settings.json",
    "python -m json.tool .claude/settings.json",
    "cp .claude/settings.json /tmp/",
    "time cat .claude/settings.json",
    "git -C /repo diff -- .claude/settings.json",
    "if [ -f .skillrun/ledger.db ]; then echo yes; fi",
    "[[ -f .skillrun/ledger.db ]] && echo yes",
    "git commit -m 'Hooks; .claude/settings.json is committed now'",
    "git commit -m \"$(cat <<'EOF'\nHooks in .claude/settings.json\nEOF\n)\"",
    "gh pr create --body 'See .claude/settings.json'",
    "cat > docs/setup.md <<EOF\nsee .claude/settings.json\nEOF",
    "ruff check --exclude .skillrun",
    "pytest --ignore=.skillrun",
    "tar --exclude=.skillrun -cf x.tar .",
    "cd .skillrun && ls",
    "mkdir -p .skillrun/jobs",
    "git clean -fd --exclude=foo",
    "git clean -fdx -e .skillrun",
    "sqlite3 app/ledger.db .schema",
    "vim docs/ledger.db.md",
    "grep -rn 'SKILLRUN_ACTOR=' docs",
    "grep 'git clean -fdx' Makefile",
    "git add .claude .agents",
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

"""Files that nobody means well with, and where a command would open them by name."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

ZEROS = 50_000_000
HEAD = b"---\nname: local\ndescription: Jobs.\n---\n\n## Workflow\n1) Do it.\n"
SPEC = b"version: 1\njob: send\nhandler: app:work\n"


def _write(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


def _link(target: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.symlink_to(target)

    return make


def _zeros(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(ZEROS)


def _socket(path: Path) -> None:
    """The name is bound from its folder: the whole path may be longer than an address of this kind
    can be.
    """
    there = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(there)


# What stands under the name. A lone surrogate is valid in JSON, and no text that can be encoded.
_SURROGATE = (
    b'{"version": 1, "job": "\\ud800", "ledger": "\\udfff", "name": "\\ud800", "x\\ud800": 1}'
)
BAD: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "device": _link("/dev/zero"),
    "million brackets": _write(b"[" * 1_000_000),
    "million braces": _write(b'{"a":' * 190_000),
    "surrogate": _write(_SURROGATE),
    "not UTF-8": _write(b"\xff\xfe{}\n"),
    "byte order mark": _write(b"\xef\xbb\xbf{}\r\n"),
    "zeros": _zeros,
    "folder": Path.mkdir,
    "zero bytes": _write(b'{"a": "\x00"}\x00\n'),
    "no target": _link("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "socket": _socket,
    "empty": _write(b""),
    "many digits": _write(b'{"version": ' + b"9" * 10_000 + b"}"),
}

# What git does not keep stands in the working tree alone.
UNKEPT = ("pipe", "folder", "socket")

# What somebody may do to a ledger with plain sqlite3. Bytes that are no UTF-8 can be in its schema,
# and then SQLite's own errors are no text either.
_NO_TEXT = "CAST(x'fffe' AS TEXT)"
_LAST_OBJECT = "(SELECT max(rowid) FROM sqlite_schema)"
SPOILED: dict[str, tuple[str, ...]] = {
    "every name of the schema": (f"UPDATE sqlite_schema SET name = {_NO_TEXT}, sql = {_NO_TEXT}",),
    "one name": (f"UPDATE sqlite_schema SET name = {_NO_TEXT} WHERE rowid = {_LAST_OBJECT}",),
    "one statement": (f"UPDATE sqlite_schema SET sql = {_NO_TEXT} WHERE rowid = {_LAST_OBJECT}",),
    "a table more": (
        f"INSERT INTO sqlite_schema VALUES ('table', {_NO_TEXT}, {_NO_TEXT}, 0, 'a view')",
    ),
    "the names of runs": (f"UPDATE run SET skill = {_NO_TEXT}, job = {_NO_TEXT}",),
    "the paths of runs": (f"UPDATE run SET repo = {_NO_TEXT}, spec_path = {_NO_TEXT}",),
    "the types of events": (f"UPDATE event SET type = {_NO_TEXT}, stage = {_NO_TEXT}",),
    "the data of events": (f"UPDATE event SET data = {_NO_TEXT}",),
    "the hashes of events": (f"UPDATE event SET hash = {_NO_TEXT}, prev = {_NO_TEXT}",),
    "evidence": (f"UPDATE evidence SET role = {_NO_TEXT}, path = {_NO_TEXT}",),
    "telemetry": (f"UPDATE telemetry SET outcome = {_NO_TEXT}, actor = {_NO_TEXT}",),
}


def spoil(ledger: Path, kind: str) -> None:
    """Changes a ledger as somebody does it who drops what protects it."""
    db = sqlite3.connect(ledger, isolation_level=None)
    with contextlib.closing(db):
        triggers = db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA writable_schema = ON")
        for statement in SPOILED[kind]:
            db.execute(statement)


FILES: dict[str, bytes] = {
    ".skillrun/jobs/send.yaml": SPEC,
    ".claude/skills/local/SKILL.md": HEAD,
    "app.py": (
        b"from celery import Celery\n\napp = Celery('app')\n\n\n@app.task\ndef work(order_id):\n   "
        b" pass\n"
    ),
    "pyproject.toml": b'[project]\nname = "shop"\nversion = "1"\ndependencies = ["celery"]\n',
}

_SKILL = "job-worker-orchestration"
_Commands = tuple[tuple[str, ...], ...]
_READERS: _Commands = (
    ("detect",),
    ("jobs",),
    ("run", _SKILL),
    ("status",),
    ("next",),
    ("why", "identify"),
    ("verify", "--ci"),
    ("prove", "--trust", "--list"),
    ("lint", "app.py"),
    ("doctor",),
)
_PROFILE: _Commands = (
    ("detect", "--write"),
    ("ledger", "list"),
    ("spec", "check"),
    ("install", "claude"),
)
_SPEC: _Commands = (
    ("run", _SKILL, "--spec", ".skillrun/jobs/send.json"),
    ("spec", "check"),
    ("verify",),
)
_SKILLS: _Commands = (("list",), ("show", "local"), ("run", "local"), ("check", ".claude/skills"))
_LEDGER: _Commands = (
    ("ledger", "list"),
    ("ledger", "query"),
    ("ledger", "query", "SELECT 1"),
    ("ledger", "verify"),
    ("ledger", "stats"),
    ("ledger", "anchor"),
    ("ledger", "export", "--format", "jsonl"),
    ("status",),
    ("run", _SKILL),
)
# Whatever a pass over all files meets.
_TREE: _Commands = (
    ("detect",),
    ("jobs",),
    ("run", _SKILL, "--implement", "scaffold", "--dry-run"),
    ("verify", "--ci"),
)


def _installed(agent: str) -> _Commands:
    return (("install", agent), ("uninstall", agent), ("doctor",))


_MET = (
    *(".gitattributes", ".gitignore", "pyproject.toml", "setup.cfg", "setup.py", "tox.ini"),
    *("pytest.ini", "noxfile.py", "requirements.txt", "Pipfile", "package.json", "Procfile"),
    *("docker-compose.yml", "Dockerfile", "Makefile", "crontab", "Gemfile", "go.mod", "pom.xml"),
    *("composer.json", "mix.exs", "Cargo.toml", "shop.csproj", ".github/workflows/ci.yml"),
    *("conftest.py", "alembic.ini", ".pre-commit-config.yaml", ".editorconfig", "README.md"),
    *(".python-version", "docs/jobs.md", "app.py", "tasks.ts", "worker.rb", "lib.go", "Job.java"),
    *("uv.lock", "package-lock.json", ".gitmodules", "ruff.toml", "mypy.ini"),
)

# Name of a file -> the files that lead to it.
_POLLED = b"""\
version: 1
job: send
trigger: {type: poller, every: 1m}
payload: {type: object, required: [order_id], properties: {order_id: {type: integer}}, examples: [{order_id: 7}]}
handler: jobs:send
message: kwargs
idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table done}}
effects: [{name: mail, call: "jobs:mail", key_arg: key, guarantee: keyed}]
proof:
  setup: python jobs.py
  database: "{scratch}/app.db"
  state: {done: select * from done}
  env: {APP_DB: "{scratch}/app.db"}
  fixture: {file: rows.sql, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}
"""
_POLLED_JOBS = b"""\
import os
import sqlite3


def mail(order_id, key):
    pass


def send(order_id):
    mail(order_id, key=str(order_id))


if __name__ == "__main__":
    sqlite3.connect(os.environ["APP_DB"]).execute("create table done (order_id integer)")
"""
LEADING: dict[str, dict[str, bytes]] = {
    "policy/fleet.json": {
        "REPO_PROFILE.json": b'{"extends": {"file": "policy/fleet.json", "sha256": "'
        + b"0" * 64
        + b'"}}'
    },
    "rows.sql": {".skillrun/jobs/send.yaml": _POLLED, "jobs.py": _POLLED_JOBS},
}

# Name of a file -> the commands that open it.
OPENED: dict[str, _Commands] = {
    "REPO_PROFILE.json": (*_READERS, *_PROFILE),
    "policy/fleet.json": (*_READERS, *_PROFILE),
    "rows.sql": (("prove", "--trust", "--schedule", "redeliver"), ("verify", "--ci")),
    ".skillrun/jobs/send.yaml": (*_READERS, ("spec", "check")),
    ".skillrun/jobs/send.json": _SPEC,
    ".skillrun/baseline.json": (("baseline",), ("verify", "--ci")),
    ".claude/skills/local/SKILL.md": _SKILLS,
    ".claude/skills/local/notes.md": (("check", ".claude/skills"),),
    ".skillrun/ledger.db": _LEDGER,
    ".skillrun/installed.json": _installed("claude"),
    "skills-lock.json": (("doctor",),),
    ".skillrun/.gitignore": (("run", _SKILL),),
    ".claude/settings.json": _installed("claude"),
    ".mcp.json": _installed("claude"),
    ".codex/config.toml": _installed("codex"),
    ".codex/hooks.json": _installed("codex"),
    ".cursor/mcp.json": _installed("cursor"),
    ".cursor/hooks.json": _installed("cursor"),
    ".github/hooks/skillrun.json": _installed("copilot"),
    ".gemini/settings.json": _installed("gemini"),
    ".agents/hooks.json": _installed("antigravity"),
    "opencode.json": _installed("opencode"),
    ".opencode/plugins/skillrun.js": _installed("opencode"),
    ".github/workflows/skillrun.yml": _installed("github-actions"),
    **dict.fromkeys(_MET, _TREE),
}

# What a command is given by name: the file's path stands for FILE.
GIVEN: tuple[tuple[str, ...], ...] = (
    ("run", _SKILL, "--spec", "FILE"),
    ("run", _SKILL, "--skill", "FILE"),
    ("run", "FILE"),
    ("run", _SKILL, "--ledger", "FILE"),
    ("run", _SKILL, "--attest", "2=done", "--evidence", "2=FILE"),
    ("show", "FILE"),
    ("check", "FILE"),
    ("spec", "check", "FILE"),
    ("prove", "--spec", "FILE", "--list", "--trust"),
    ("verify", "--ci", "--format", "json", "--output", "FILE"),
    ("status", "--ledger", "FILE"),
    ("ledger", "list", "--ledger", "FILE"),
    ("ledger", "query", "SELECT 1", "--ledger", "FILE"),
    ("ledger", "import", "FILE"),
    ("ledger", "verify", "--anchors", "FILE"),
    ("ledger", "anchor", "--to", "FILE"),
    ("ledger", "anchor", "--to", "intoto", "FILE"),
    ("ledger", "archive", "--before", "2020-01-01", "--to", "FILE"),
    ("ledger", "export", "--format", "jsonl", "-o", "FILE"),
    ("ledger", "export", "--format", "csv", "-o", "FILE"),
    ("ledger", "redact", "0", "--containing", "FILE", "--reason", "x"),
    ("ledger", "query", "FILE"),
    ("detect", "--repo", "FILE"),
    ("comment", "FILE"),
    ("lint", "FILE", "app.py"),
)


def put(repo: Path, name: str, kind: str) -> Path:
    """Puts one bad file in place of whatever is there."""
    for leading, text in LEADING.get(name, {}).items():
        (repo / leading).parent.mkdir(parents=True, exist_ok=True)
        (repo / leading).write_bytes(text)
    path = repo / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    BAD[kind](path)
    return path

"""What the repository's tests, commands, code and names give away is in nothing that skillrun says
or keeps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import helpers
import pytest
import shops

WORD = "Tr0ub4dor-staple"
SECRET = "Tr0ub4dor7Zq"
# Put together here, so that no scanner of this repository takes it for a real one.
TOKEN = "gh" + "p_" + "Zx8qT1mN4vB7kL2pR9sW3yU6aB3dE5"
RED = f"""

    def test_red_message(shop):
        raise RuntimeError("cannot log in: postgres://shop:{WORD}@db/shop with {TOKEN}")
    """
LOUD = (
    f"lint:\n\t@echo 'DB_PASS={WORD}'; curl --version -u shop:{WORD} >/dev/null; true\n"
    f"test:\n\t@echo 'password is {WORD}'; echo {TOKEN}; python -m pytest -q; false\n"
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The repository after a run, and everything that any command printed or wrote of it."""
    repo = shops.shop(tmp_path_factory.mktemp("planted") / "repo", makefile=LOUD)
    tests = repo / "tests/test_send_receipt.py"
    tests.write_text(tests.read_text() + RED.replace("\n    ", "\n"))
    spec = repo / shops.SPEC
    spec.write_text(f"{spec.read_text()}waivers:\n  - item: tests\n    reason: password={WORD}\n")
    helpers.commit(repo, f"Use {TOKEN}")
    helpers.git(repo, "checkout", "--quiet", "-b", f"use-{TOKEN}")
    said: dict[str, str] = {}
    for name, args in exits(repo.parent).items():
        done = helpers.run_cli(*args, cwd=repo, timeout=300)
        assert "Traceback" not in done.stderr, (name, done.stderr)
        said[name] = done.stdout + done.stderr
    return repo, said


def exits(out: Path) -> dict[str, Sequence[str | Path]]:
    skill, formats = shops.SKILL, ("json", "sarif", "junit", "intoto")
    many = [
        word for one in formats for word in ("--format", one, "--output", out / f"verify.{one}")
    ]
    return {
        "run": ("run", skill, "--trust", "--set", f"inputs.x={TOKEN}"),
        "run again": ("run", skill, "--trust"),
        "run --json": ("run", skill, "--trust", "--json"),
        "status": ("status",),
        "status --json": ("status", "--json"),
        "why": ("why", "validate"),
        "why tests": ("why", "tests", "--json"),
        "next": ("next",),
        "next --json": ("next", "--json"),
        "detect": ("detect",),
        "detect --json": ("detect", "--json"),
        "query": ("ledger", "query", "SELECT data FROM event"),
        "query json": ("ledger", "query", "SELECT * FROM event", "--json"),
        "evidence": ("ledger", "query", "SELECT * FROM evidence", "--format", "csv"),
        "telemetry": ("ledger", "query", "SELECT * FROM telemetry", "--format", "markdown"),
        "jsonl": ("ledger", "export", "--format", "jsonl"),
        "csv": ("ledger", "export", "--format", "csv", "-o", out / "csv"),
        "otlp": ("ledger", "export", "--format", "otlp"),
        "intoto": ("ledger", "export", "--format", "intoto"),
        "hook": ("hook", "claude", "stop"),
        "verify": ("verify", "--ci", "--base", "main"),
        "verify's formats": ("verify", "--ci", "--base", "main", *many),
        "refused": ("run", skill, "--spec", f"{TOKEN}.yaml"),
    }


def leaks(data: bytes) -> list[str]:
    return [secret for secret in (WORD, TOKEN) if secret.encode() in data]


@pytest.mark.real
def test_nothing_that_is_printed_holds_it(told: tuple[Path, dict[str, str]]) -> None:
    found = {name: leaks(text.encode()) for name, text in told[1].items()}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}
    assert "[masked]" in told[1]["run --json"]


@pytest.mark.real
def test_nothing_that_is_kept_holds_it(told: tuple[Path, dict[str, str]]) -> None:
    """The ledger's bytes, its journal, the state folder, and every file of an export."""
    repo = told[0]
    kept = [*(repo / ".skillrun").glob("ledger.db*")]
    for folder in (repo.parent / "repo.home", repo.parent / "csv"):
        kept += [path for path in folder.rglob("*") if path.is_file()]
    kept += [*repo.parent.glob("verify.*")]
    assert len(kept) > 5
    found = {str(path): leaks(path.read_bytes()) for path in kept}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


@pytest.mark.real
def test_the_page_of_a_run_does_not_hold_it(told: tuple[Path, dict[str, str]]) -> None:
    repo = told[0]
    run = shops.events(shops.ledger_of(repo))[0]["run_id"]
    page = repo.parent / "page.html"
    done = helpers.run_cli("ledger", "show", run, "--html", page, cwd=repo)
    shown = helpers.run_cli("ledger", "show", run, "--json", cwd=repo)
    assert done.returncode == shown.returncode == 0, done.stderr
    assert leaks(page.read_bytes()) == leaks(shown.stdout.encode()) == []


@pytest.mark.real
def test_a_secret_in_a_command_is_neither_shown_nor_kept(tmp_path: Path) -> None:
    """It runs as it was written all the same."""
    repo = shops.shop(tmp_path / "repo", makefile="lint:\n\ttrue\n")
    helpers.run_cli("detect", "--write", cwd=repo)
    profile = json.loads((repo / "REPO_PROFILE.json").read_text())
    profile["commands"]["test"] = f"DB_PASSWORD={SECRET} sh -c 'echo ${{#DB_PASSWORD}} > ../length'"
    (repo / "REPO_PROFILE.json").write_text(json.dumps(profile))
    helpers.commit(repo, "A test command")
    said = ""
    query = ("ledger", "query", "SELECT * FROM evidence")
    for words in (
        ("run", shops.SKILL),
        ("run", shops.SKILL, "--trust"),
        ("next",),
        ("why", "validate"),
        query,
    ):
        done = helpers.run_cli(*words, cwd=repo, timeout=300)
        said += done.stdout + done.stderr
    assert "runs: " in said
    assert "DB_PASSWORD=[masked]" in said
    assert SECRET not in said
    assert (tmp_path / "length").read_text().strip() == str(len(SECRET))
    kept = [*(repo / ".skillrun").glob("ledger.db*"), *(tmp_path / "repo.home").rglob("*")]
    found = [path for path in kept if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert found == []
    (answer,) = (tmp_path / "repo.home" / "state" / "consent").iterdir()
    assert "DB_PASSWORD=[masked]" in answer.read_text()


HANDLER = f"""
import logging, os, sqlite3

def work(order_id):
    logging.warning("logging in with password={WORD} as {TOKEN}")
    db = sqlite3.connect("shop.db")
    with db:
        db.execute("INSERT INTO sent VALUES (?)", (order_id,))
    raise RuntimeError("token: {TOKEN} was refused by https://u:{WORD}@x.example")
"""
PROOF_SPEC = f"""
version: 1
job: work
handler: app:work
payload: {{examples: [{{order_id: 7}}]}}
idempotency: {{strategy: keyed, key: [order_id]}}
retry: {{max_attempts: 2}}
proof:
  env: {{PLAIN: "{WORD}", API_TOKEN: "{TOKEN}"}}
  setup: "python -c 'import sqlite3; sqlite3.connect(\\"shop.db\\").execute(\\"CREATE TABLE sent (id)\\")'"
  database: shop.db
"""


@pytest.mark.real
def test_a_proof_tells_neither_what_the_handler_said_nor_its_environment(tmp_path: Path) -> None:
    files = {"app.py": HANDLER, ".skillrun/jobs/work.yaml": PROOF_SPEC}
    repo = helpers.build_tree(tmp_path / "repo", files)
    said = b""
    for args in (
        ("prove", "--trust"),
        ("prove", "--trust", "--json"),
        ("run", shops.SKILL, "--trust"),
    ):
        done = helpers.run_cli(*args, cwd=repo, timeout=300)
        assert done.returncode in (0, 1, 3, 4), done.stderr
        said += (done.stdout + done.stderr).encode()
    assert leaks(said) == []
    kept = [path for path in (tmp_path / "repo.home").rglob("*") if path.is_file()]
    kept += [*(repo / ".skillrun").glob("ledger.db*")]
    assert {str(path): leaks(path.read_bytes()) for path in kept if leaks(path.read_bytes())} == {}

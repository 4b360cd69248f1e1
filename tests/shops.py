"""What the tests of runs share: the shop with quick validations, real invocations, and what they
left behind.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import fixtures_repos
import helpers

SKILL = "job-worker-orchestration"
SPEC = ".skillrun/jobs/send-receipt.yaml"
STAGES = (
    "identify",
    "contract",
    "idempotency",
    "handler",
    "retry",
    "dead-letter",
    "observability",
    "tests",
    "validate",
)
QUICK = "lint:\n\ttrue\n\ntest:\n\ttrue\n"
QUICK_TESTS = """
    from shop.mailer import BadAddress, Unavailable
    from shop.tasks import send_receipt


    def run(order_id=7):
        return send_receipt.apply(kwargs={"order_id": order_id, "email": "a@example.com"})


    def test_happy_path_sends_one_email_and_marks_it(shop, provider):
        assert run().state == "SUCCESS"
        assert provider.inbox == {"receipt-7": "a@example.com"}
        assert shop.receipts() == [(7, "a@example.com")]


    def test_retryable_failure_is_tried_again_and_succeeds(shop, provider):
        provider.failures = [Unavailable("down")]
        assert run().state == "SUCCESS"
        assert provider.calls == ["receipt-7"] * 2


    def test_permanent_failure_is_not_retried_and_the_job_is_dead(shop, provider):
        provider.failures = [BadAddress("a@example.com")] * 10
        assert run().state == "FAILURE"
        assert shop.dead_jobs() == [("send-receipt", 7, "BadAddress('a@example.com')")]


    def test_two_orders_of_one_customer_get_two_emails(shop, provider):
        run(7)
        run(8)
        assert sorted(provider.inbox) == ["receipt-7", "receipt-8"]
    """


def shop(root: Path, *overlays: str, makefile: str = QUICK, proof: bool = False) -> Path:
    """The bundled shop with four quick tests and validations that take no time; its job is not
    proved.
    """
    fixtures_repos.example_shop(root, *overlays)
    if not proof:
        spec = (root / SPEC).read_text()
        (root / SPEC).write_text(spec[: spec.index("\nproof:")] + "\n")
    for name in ("test_enqueue.py", "test_mailer.py"):
        (root / "tests" / name).unlink()
    helpers.write_files(
        root, {"tests/test_send_receipt.py": QUICK_TESTS, "Makefile": makefile.encode()}
    )
    helpers.commit(root, "Quick validations")
    return root


def run(repo: Path, *args: str | Path, code: int, **options: Any) -> str:
    """One invocation of the skill that must end with `code`; what it printed."""
    done = helpers.run_cli("run", SKILL, *args, cwd=repo, **options)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def report(repo: Path, *args: str | Path, code: int, **options: Any) -> dict[str, Any]:
    """As `run`, with --json."""
    value: dict[str, Any] = json.loads(run(repo, *args, "--json", code=code, **options))
    return value


def asked(repo: Path, command: str, *args: str | Path, code: int = 0, **options: Any) -> Any:
    """The JSON document of a command that must end with `code`."""
    done = helpers.run_cli(*command.split(), *args, "--json", cwd=repo, **options)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def stages(value: dict[str, Any], key: str = "status") -> dict[str, Any]:
    """Stage -> one of its fields."""
    return {stage["id"]: stage[key] for stage in value["stages"]}


def rules(value: dict[str, Any]) -> set[str]:
    """The rules of all findings."""
    return {finding["rule"] for stage in value["stages"] for finding in stage["findings"]}


def worked(value: dict[str, Any]) -> list[str]:
    """The stages that were examined in this invocation: neither cached nor put off."""
    return [s["id"] for s in value["stages"] if not s["cached"] and s["status"] != "pending"]


def ledger_of(repo: Path) -> Path:
    return repo / ".skillrun" / "ledger.db"


def select(ledger: Path, query: str, *values: Any) -> list[dict[str, Any]]:
    """Rows, read with plain sqlite3."""
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query, values)]


def telemetry(ledger: Path) -> list[dict[str, Any]]:
    """The rows of the telemetry table, oldest first."""
    return select(ledger, "select * from telemetry order by ts_utc, run_id, invocation")


def events(ledger: Path, type: str | None = None) -> list[dict[str, Any]]:
    """Events in order, with `data` parsed."""
    found = select(
        ledger, "select * from event where type = coalesce(?, type) order by run_id, n", type
    )
    return [{**row, "data": json.loads(row["data"])} for row in found]


def listing(root: Path) -> dict[str, str]:
    """Every path below a folder, git's own included, with a hash of what it is."""
    return {str(path.relative_to(root)): _content(path) for path in sorted(root.rglob("*"))}


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "not a file"

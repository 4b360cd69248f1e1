"""`skillrun ledger list | show | query`: reads the ledger, and changes nothing."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skillrun.cli.commands.common import ledger_of, pairs, print_json, print_rows, print_table
from skillrun.cli.options import Format
from skillrun.core.text import visible
from skillrun.ledger.store import Ledger


def list_runs(repo: Path, ledger: Path | None, limit: int, format: Format) -> int:
    """The runs, newest first."""
    with Ledger.open(ledger_of(repo, ledger), read_only=True) as opened:
        runs = opened.runs(limit=limit)
    columns = ("run", "skill", "job", "outcome", "invocations", "started", "actor", "repo")
    rows = []
    for r in runs:
        rows.append(
            (
                r["run_id"],
                r["skill"],
                r["job"],
                r["outcome"],
                r["invocations"],
                _when(r["started_us"]),
                r["actor"],
                r["repo"],
            )
        )
    document = []
    for run in runs:
        document.append({k: v for k, v in run.items() if k != "base_tree"})
    print_rows(format, columns, rows, document)
    return 0


def show_run(run: str, repo: Path, ledger: Path | None, json: bool) -> int:
    """A run's invocations, events and evidence."""
    with Ledger.open(ledger_of(repo, ledger), read_only=True) as opened:
        run_id = opened.resolve_run(run)
        value = {
            "run": opened.run(run_id),
            "telemetry": opened.telemetry(run_id)[::-1],
            "events": opened.events(run_id),
            "evidence": opened.evidence(run_id),
        }
    if json:
        print_json(value)
        return 0
    _print_run(value)
    return 0


def _print_run(value: dict[str, Any]) -> None:
    _print_head(value["run"])
    _print_telemetry(value["telemetry"])
    print()
    _print_events(value["events"])
    print()
    print_table(
        ("n", "role", "evidence", "line", "sha256", "bytes"),
        [
            (e["n"], e["role"], e["path"], e["line"], e["sha"][:12], e["size"])
            for e in value["evidence"]
        ],
    )


def _print_head(run: dict[str, Any]) -> None:
    print(
        visible(
            f"run {run['run_id']}  {run['skill']}  job {run['job']} "
            f" {run['outcome'] or 'not ended'}"
        )
    )
    print(
        visible(
            f"{run['repo']}  started {_when(run['started_us'])} by {run['actor']}"
            f" ({run['actor_kind']})"
        )
        + "\n"
    )


def _print_telemetry(rows: list[dict[str, Any]]) -> None:
    columns = (
        "invocation",
        "ts_utc",
        "outcome",
        "idempotency",
        "retries",
        "tests_added",
        "grade_min",
        "files_touched",
    )
    telemetry = []
    for row in rows:
        telemetry.append([row[column] for column in columns])
    print_table(columns, telemetry)


def _print_events(events: list[dict[str, Any]]) -> None:
    rows = []
    for event in events:
        # What a stage took; other events take no time of their own.
        milliseconds = None
        if event["dur_us"] is not None:
            milliseconds = event["dur_us"] // 1000
        what = (event["type"], event["stage"], event["outcome"])
        # The beginning of a hash is enough to find it again.
        rows.append((event["n"], _when(event["ts_us"]), *what, milliseconds, event["hash"][:12]))
    print_table(("n", "time", "event", "stage", "outcome", "ms", "hash"), rows)


def query(
    query: str | None, param: list[str], repo: Path, ledger: Path | None, limit: int, format: Format
) -> int:
    """The rows of a named query or of SQL; without one, the named queries."""
    from skillrun.ledger.query import run_query

    if query is None:
        return _list_queries(format)
    path, params = ledger_of(repo, ledger), pairs("--param", param)
    result = run_query(
        path, query, {**_files_as_they_are(query, params, repo, path), **params}, limit
    )
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    document = {"columns": list(result.columns), "rows": rows, "truncated": result.truncated}
    print_rows(format, result.columns, result.rows, document)
    if result.truncated and format == "table":
        print(f"(the first {limit} rows; --limit gives more)")
    elif result.truncated and format != "json":
        print(f"skillrun: the first {limit} rows; --limit gives more", file=sys.stderr)
    return 0


def _files_as_they_are(
    query: str, given: dict[str, str], repo: Path, ledger: Path
) -> dict[str, str]:
    """For a named query that compares with the files: those of the repository, and a word on what
    was compared.
    """
    from skillrun.ledger.query import named_queries
    from skillrun.runner.files_now import query_params

    named = named_queries().get(query.strip())
    if named is None or "tree" in given or "tree" not in {param.name for param in named.params}:
        return {}
    found = query_params(repo, ledger, given.get("repo"))
    what = "the latest content that any run saw"
    if found:
        what = f"the files of {found['repo']} as they are"
    print(visible(f"skillrun: compared with {what}", limit=None), file=sys.stderr)
    return found


def _list_queries(format: Format) -> int:
    from skillrun.ledger.query import named_queries

    found = named_queries()
    if format == "table":
        for name, named in found.items():
            print(f"{name}: {named.sentence}")
            # As they are typed, with what stands where none is given.
            if named.params:
                print("    " + " ".join(f"--param {p.name}={p.default}" for p in named.params))
        return 0
    rows, document = [], {}
    for name, named in found.items():
        params = [param.name for param in named.params]
        rows.append((name, named.sentence, " ".join(params)))
        document[name] = {"sentence": named.sentence, "params": params}
    print_rows(format, ("query", "sentence", "params"), rows, document)
    return 0


def _when(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")

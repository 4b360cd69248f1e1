"""What Datasette says about a ledger: its named queries, its facets, and the words of the data dictionary."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from skillrun.ledger.query import NamedQuery, Param, named_queries
from skillrun.resources import resource
from skillrun.text import visible

NAME = "ledger"  # of the database, whatever the file is called: links hold
_TABLES: dict[str, dict[str, Any]] = {
    "run": {"facets": ["skill", "actor_kind", "agent"], "sort_desc": "run_id"},
    "run_status": {"facets": ["outcome", "skill", "job"], "sort_desc": "started_us"},
    "event": {"facets": ["type", "stage", "outcome"], "sort_desc": "seq"},
    "telemetry": {"facets": ["outcome", "skill", "actor_kind", "grade_min"], "sort_desc": "ts_utc"},
    "evidence": {"facets": ["role"]},
}
_SECTION = re.compile(r"^### `(\w+)`\n(.*?)\n(?=\n?\|)(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \| (.*) \|$", re.MULTILINE)
# A text, a name or a comment of SQL, in which a colon means nothing; or a parameter.
_PIECE = re.compile(r"'[^']*'|\"[^\"]*\"|--[^\n]*|:(\w+)")


def metadata(path: Path) -> dict[str, Any]:
    """Datasette's metadata for the ledger at `path`."""
    queries = named_queries()
    return {
        "title": "skillrun ledger",
        "description_html": _welcome(path, queries),
        "extra_css_urls": ["/skillrun/web.css"],
        "databases": {
            NAME: {"tables": _tables(), "queries": {name: _canned(query) for name, query in queries.items()}}
        },
    }


def _welcome(path: Path, queries: dict[str, NamedQuery]) -> str:
    items = "".join(
        f'<li><a href="/{NAME}/{name}">{name}</a>: {escape(query.sentence)}</li>' for name, query in queries.items()
    )
    where = escape(visible(str(path), limit=None))
    return (
        f"<p><code>{where}</code>, read as it grows; nothing here can change it. "
        f'<a href="/{NAME}/run_status">Where each run stands</a>; a click on a run opens its page.</p>'
        f'<h2>Named queries</h2><ul class="bullets">{items}</ul>'
    )


def _tables() -> dict[str, dict[str, Any]]:
    """Words from `ledger/README.md`, and what is worth counting."""
    text = resource("ledger", "README.md").read_text("utf-8")
    found: dict[str, dict[str, Any]] = {}
    for table, words, rows in _SECTION.findall(text):
        columns = {column: _plain(meaning) for column, meaning in _ROW.findall(rows)}
        found[table] = {"description": _plain(words), "columns": columns, **_TABLES.get(table, {})}
    return found


def _plain(markdown: str) -> str:
    return " ".join(markdown.replace("`", "").split())


def _canned(query: NamedQuery) -> dict[str, Any]:
    """A canned query. Its sentence and what its parameters mean are the description."""
    meanings = "".join(f"; {p.name}: {p.description}{_else(p)}" for p in query.params)
    return {
        "sql": _with_defaults(query),
        "title": query.name,
        "description": query.sentence.rstrip(".") + meanings + ".",
        "params": [param.name for param in query.params],
        "hide_sql": True,
    }


def _else(param: Param) -> str:
    return f" (else {param.default})" if param.default else ""


def _with_defaults(query: NamedQuery) -> str:
    """The SQL without its head. Datasette gives '' for an empty field: there the default takes its place."""
    lines = [line for line in query.sql.splitlines() if not line.startswith("--")]
    defaults = {param.name: param.default for param in query.params if param.default}

    def replaced(match: re.Match[str]) -> str:
        if match[1] not in defaults:
            return match[0]
        default = defaults[match[1]].replace("'", "''")
        return f"coalesce(nullif(:{match[1]}, ''), '{default}')"

    return _PIECE.sub(replaced, "\n".join(lines)).strip().rstrip(";")

"""What Datasette says about a ledger: its named queries, its facets, and the words of the data
dictionary.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from skillrun.core.resources import resource
from skillrun.core.text import visible
from skillrun.ledger.query import NamedQuery, Param, named_queries

# The name of the database, whatever the file is called: links hold.
NAME = "ledger"
# The parameter of a query that compares with the files as they are.
TREE = "tree"
_TABLES: dict[str, dict[str, Any]] = {
    "run": {"facets": ["skill", "actor_kind", "agent"], "sort_desc": "run_id"},
    "run_status": {"facets": ["outcome", "skill", "job"], "sort_desc": "started_us"},
    "event": {"facets": ["type", "stage", "outcome"], "sort_desc": "seq"},
    "telemetry": {"facets": ["outcome", "skill", "actor_kind", "grade_min"], "sort_desc": "ts_utc"},
    "evidence": {"facets": ["role"]},
}
_SECTION = re.compile(r"^### `(\w+)`\n(.*?)\n(?=\n?\|)(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \| (.*) \|$", re.MULTILINE)
_CODE = re.compile("`([^`]*)`")
# A text, a name or a comment of SQL, in which a colon means nothing; or a parameter.
_PIECE = re.compile(r"'[^']*'|\"[^\"]*\"|--[^\n]*|:(\w+)")


def build_metadata(path: Path, repo: str | None) -> dict[str, Any]:
    """Datasette's metadata for the ledger at `path`. `repo`: the repository whose files are at
    hand.
    """
    queries = named_queries()
    canned = {name: _build_canned_query(query, repo) for name, query in queries.items()}
    return {
        "title": "skillrun ledger",
        "description_html": _welcome_html(path, queries),
        "extra_css_urls": ["/skillrun/web.css"],
        "databases": {NAME: {"tables": _describe_tables(), "queries": canned}},
    }


def _welcome_html(path: Path, queries: dict[str, NamedQuery]) -> str:
    items = ""
    for name, query in queries.items():
        sentence = _code_to_html(query.sentence)
        items += f'<li><a href="/{NAME}/{name}">{name}</a>: {sentence}</li>'
    where = escape(visible(str(path), limit=None))
    return (
        f"<p><code>{where}</code>, read as it grows; nothing here can change it. "
        f'<a href="/{NAME}/run_status">Where each run stands</a>; a click on a run opens its'
        " page.</p>"
        f'<h2>Named queries</h2><ul class="bullets">{items}</ul>'
    )


def _describe_tables() -> dict[str, dict[str, Any]]:
    """Words from `ledger/README.md`, and what is worth counting."""
    text = resource("ledger", "README.md").read_text("utf-8")
    found: dict[str, dict[str, Any]] = {}
    for table, words, rows in _SECTION.findall(text):
        columns = {}
        for column, meaning in _ROW.findall(rows):
            columns[column] = _strip_markdown(meaning)
        found[table] = {
            "description": _strip_markdown(words),
            "columns": columns,
            **_TABLES.get(table, {}),
        }
    return found


def _strip_markdown(markdown: str) -> str:
    return " ".join(markdown.replace("`", "").split())


def _build_canned_query(query: NamedQuery, repo: str | None) -> dict[str, Any]:
    """A canned query. Its sentence and what its parameters mean are the description.

    Nobody types a `tree`: the server fills it in, and says what it is.
    """
    asked = [param for param in query.params if param.name != TREE]
    html = f"<p>{_code_to_html(query.sentence)}</p>"
    if len(asked) < len(query.params):
        html += f"<p>{_code_to_html(_say_what_is_compared(repo))}</p>"
    meanings = ""
    for param in asked:
        meaning = param.description + _say_default(param)
        meanings += f"<dt>{param.name}</dt><dd>{_code_to_html(meaning)}</dd>"
    html += f'<dl class="params">{meanings}</dl>'
    return {
        "sql": _with_defaults(query),
        "title": query.name,
        "description": _strip_markdown(query.sentence),
        "description_html": html,
        "params": [param.name for param in asked],
        "hide_sql": True,
    }


def _code_to_html(text: str) -> str:
    """Text with what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _say_what_is_compared(repo: str | None) -> str:
    if repo is None:
        return (
            "Compared here with the latest content that any run saw: start serve in a repository"
            " for its files."
        )
    return (
        f"Compared here with the files of {visible(repo)} as they are; of another repo, with what"
        " runs saw."
    )


def _say_default(param: Param) -> str:
    if not param.default:
        return ""
    return f" (else {param.default})"


def _with_defaults(query: NamedQuery) -> str:
    """The SQL without its head. Datasette gives '' for an empty field: there the default takes its
    place.

    What begins with `_skillrun_` Datasette asks of the plugin.
    """
    lines = []
    for line in query.sql.splitlines():
        if not line.startswith("--"):
            lines.append(line)
    defaults = {}
    for param in query.params:
        if param.default:
            escaped = param.default.replace("'", "''")
            defaults[param.name] = f"'{escaped}'"
    if TREE in {param.name for param in query.params}:
        defaults["repo"] = ":_skillrun_repo"

    def replace_parameter(match: re.Match[str]) -> str:
        name = match[1]
        if name == TREE:
            return ":_skillrun_tree"
        # No parameter but a text or a comment, or one without a default.
        if name not in defaults:
            return match[0]
        return f"coalesce(nullif(:{name}, ''), {defaults[name]})"

    return _PIECE.sub(replace_parameter, "\n".join(lines)).strip().rstrip(";")

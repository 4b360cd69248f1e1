"""Statements that a branch adds and that throw away what a job has recorded."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial

from skillrun.core.verdict import Finding
from skillrun.repo.places import is_taken_for_tests
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.specs import at, mapping
from skillrun.wall.gaming.uniqueness import find_lost_uniqueness

ID = "lost-records"
HELP = (
    "A job that has lost its marks does everything again, and one that has lost its dead letters "
    "tells nobody. Found: a new statement that drops, empties or trims, by a trigger or in each "
    "job, a table that the spec names, and one by which a commit may be lost. A migration's way back is "
    "none."
)
_HINT = "keep the table; where its records may go, say in the spec for how long they are needed"
_FROM = re.compile(r"\bfrom\s+[\"`]?([A-Za-z_]\w*)", re.IGNORECASE)
_DROPPING = (
    r"\bdrop\s+table\s+(?:if\s+exists\s+)?{table}\b",
    r"\btruncate\s+(?:table\s+)?{table}\b",
    r"\bdelete\s+from\s+{table}\b(?!.*\bwhere\b)",
    # Of so many rows the newest are kept, however young the others are; an age may be meant.
    r"\bdelete\s+from\s+{table}\b.*\bwhere\b.*\bselect\b.*(\bmax\s*\(|\blimit\b|\boffset\b|\bcount\s*\()",
    r"\bcreate\s+(?:or\s+replace\s+)?(?:\w+\s+)?trigger\b.*\b{table}\b",
    r"\balter\s+table\s+{table}\b.*\brename\b",
)
# A commit that these let through is not on disk yet: a power loss takes marks and dead letters.
_UNSAFE = re.compile(
    r"\bpragma\s+(?:\w+\.)?synchronous\s*(?:=|\()\s*['\"]?(off|0)\b"
    r"|\bpragma\s+(?:\w+\.)?journal_mode\s*(?:=|\()\s*['\"]?(off|memory)\b"
    r"|\bsynchronous_commit\b\s*(?:=|to)\s*['\"]?off\b|\bfsync\s*=\s*['\"]?off\b"
    r"|\b(?:create|set)\s+unlogged\b|\bunlogged\s+table\b"
    r"|\bdelayed_durability\s*=\s*(?:forced|allowed)\b"
    r"|\binnodb_flush_log_at_trx_commit\s*=\s*[02]\b",
    re.IGNORECASE,
)
# What stands for a value that a job hands over.
_BOUND = re.compile(r"\?|%s|%\(\w+\)s|:\w+|\$\d|\{\w*\}")
_CALLS = {"drop_table", "DeleteModel", "rename_table"}
_BACK = ("downgrade", "reverse", "backwards", "undo", "rollback")


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each statement."""
    tables = sorted(_list_tables(diff))
    if not tables:
        return
    names = "|".join(map(re.escape, tables))
    quotes = f'["`\\[]?(?:\\w+\\.)?(?:{names})["`\\]]?'
    patterns = []
    for pattern in _DROPPING:
        patterns.append(re.compile(pattern.format(table=quotes), re.IGNORECASE | re.DOTALL))
    models = re.compile("|".join(_list_models(diff, tables)))
    is_of_others = partial(_takes_from_others, quotes)
    run_by_job = partial(_lines_of_handlers, diff, {})
    yield from find_lost_uniqueness(ID, diff, tables)
    for file in (*diff.python_files(), *diff.deployment):
        if is_taken_for_tests(file.path) or file.new is None:
            continue
        known = [text for text, _ in _list_statements(file.old, file.old_tree, file, tables)]
        known += [text for text, _ in _list_mapped(file.old_tree, models)]
        statements = [*_list_statements(file.new, file.new_tree, file, tables)]
        statements += _list_mapped(file.new_tree, models)
        for text, line in statements:
            if text in known:
                known.remove(text)
                continue
            lost = _describe_loss(text, patterns)
            is_others = is_of_others(text) or _is_by_age(text)
            if lost is None and is_others and line in run_by_job(file):
                lost = "a job throws away what others have recorded"
            if lost is not None:
                yield taken(ID, file, line, f"{lost}: {quoted(text, 200)}", hint=_HINT)


def _describe_loss(text: str, patterns: list[re.Pattern[str]]) -> str | None:
    """What any statement takes, whoever runs it."""
    if _throws_away(text, patterns):
        return "what the job has recorded is thrown away"
    if _UNSAFE.search(text):
        return "what is committed may be lost all the same"
    return None


def _throws_away(text: str, patterns: list[re.Pattern[str]]) -> bool:
    return text.startswith("call ") or any(pattern.search(text) for pattern in patterns)


def _takes_from_others(tables: str, text: str) -> bool:
    """A condition that no value of the job's own stands in chooses rows of others."""
    deleting = re.search(rf"\bdelete\s+from\s+{tables}.*\bwhere\b", text, re.IGNORECASE | re.DOTALL)
    return deleting is not None and _BOUND.search(text) is None


def _list_models(diff: Diff, tables: list[str]) -> Iterator[str]:
    """The classes by which code speaks of the tables."""
    for table in tables:
        camel = "".join(part.capitalize() for part in table.split("_"))
        yield re.escape(camel)
        yield re.escape(camel.removesuffix("s"))
        named = re.compile(
            rf"^class (\w+)(?:(?!^class ).)*?__tablename__\s*=\s*[\"']{re.escape(table)}[\"']",
            re.MULTILINE | re.DOTALL,
        )
        for path in diff.after.search("__tablename__"):
            yield from named.findall(diff.after.texts[path])


def _list_mapped(tree: ast.Module | None, models: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """Deletions by an object-relational mapper: `delete(Row).where(...)`, `Row.objects...delete()`,
    `query(Row)...delete()`.
    """
    named = re.compile(rf"\bdelete\(\s*(?:\w+\.)*(?:{models.pattern})\s*\)")
    chained = re.compile(
        rf"(?:\bquery\(\s*(?:\w+\.)*(?:{models.pattern})\s*\)|\b(?:{models.pattern})\.objects\b)"
        r".*\.delete\("
    )
    for node in ast.walk(tree or ast.Module([], [])):
        if isinstance(node, ast.Expr | ast.Assign | ast.Return | ast.AugAssign):
            text = ast.unparse(node)
            if named.search(text) or chained.search(text):
                yield f"mapped {text}", node.lineno


def _is_by_age(text: str) -> bool:
    """Whether a mapper's deletion names no row: neither a key nor a list of them."""
    is_mapped = text.startswith("mapped ")
    return is_mapped and not re.search(r"==|\bin_\(|__in=|\b(pk|id|\w+_id|key|message)=", text)


def _lines_of_handlers(diff: Diff, known: dict[str, set[int]], file: File) -> set[int]:
    """The lines of a file that belong to functions which a handler's module reaches."""
    if not known:
        reach = diff.after.reach_from(read_asked(diff, diff.after).handlers)
        known[""] = set()
        for node, definition in reach.functions.items():
            last = getattr(node, "end_lineno", None) or definition.line
            known.setdefault(definition.path, set()).update(range(definition.line, last + 1))
    return known.get(file.path, set())


def _list_tables(diff: Diff) -> Iterator[str]:
    """The tables that the specs name: of marks, dead letters and state."""
    for spec in diff.specs:
        value = spec.new_document.value if spec.new_document else None
        texts = [at(value, "idempotency", "dedupe", "store"), at(value, "dead_letter", "where")]
        for text in texts:
            if isinstance(text, str) and text.split():
                yield text.split()[-1].rpartition(".")[2]
        queries = [at(value, "proof", "dead_letters")]
        queries += mapping(at(value, "proof", "state")).values()
        for query in queries:
            yield from _FROM.findall(str(query))


def _list_statements(
    text: str | None, tree: ast.Module | None, file: File, tables: list[str]
) -> Iterator[tuple[str, int]]:
    """(statement, line) of what a file may say to a database."""
    if not file.path.endswith(".py"):
        line = 1
        for statement in (text or "").split(";"):
            start = line + len(statement) - len(statement.lstrip())
            yield " ".join(statement.split()), min(start, line + statement.count("\n"))
            line += statement.count("\n")
        return
    for function, node in _walk_forward(tree or ast.Module([], [])):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for statement in node.value.split(";"):
                yield " ".join(statement.split()), node.lineno
        elif isinstance(node, ast.Call) and _name_of(node) in _CALLS:
            said = ast.unparse(node)
            if any(re.search(rf"\b{re.escape(table)}\b", said) for table in tables):
                yield f"call {said} {function}", node.lineno


def _name_of(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _walk_forward(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """(function, node) of all but a migration's way back."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        function, node = waiting.pop()
        if isinstance(node, ast.FunctionDef):
            function = node.name
            if function.startswith(_BACK):
                continue
        if isinstance(node, ast.keyword) and (node.arg or "").startswith("reverse"):
            continue
        yield function, node
        waiting += [(function, child) for child in ast.iter_child_nodes(node)]

"""The log records of the jobs of both sides, paired: which are gone, lower, or say less."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from skillrun.core.verdict import Finding
from skillrun.repo.python import Definition, Project
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.key_fields import read_key_fields
from skillrun.wall.gaming.making import found, quoted
from skillrun.wall.gaming.settings_named import list_keys
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.reach import Reach

LEVELS = {
    "notset": 0,
    "debug": 10,
    "info": 20,
    "success": 20,
    "warn": 30,
    "warning": 30,
    "error": 40,
    "exception": 40,
    "critical": 50,
    "fatal": 50,
}
_INFO, _WARNING, _ERROR = 20, 30, 40
_LOGGER = re.compile(r"(^|_)(log|logger|logging|structlog)$", re.IGNORECASE)
_FIELD = re.compile(r"(\w+)\s*[=:]\s*(?:%|\{|')")
_NAMED = re.compile(r"\w+\s*[=:]\s*%")
_PLACEHOLDER = re.compile(r"%\(?\w*\)?[-\d.]*[a-z]|\{[^}]*\}")
_REASONS = ("reason", "error", "exc", "err", "exception", "cause", "exc_info", "why")
# Half of its words: a record that was shortened or put otherwise, and no other one.
_ALIKE = 0.5
_HINT = "let the job say it as before: an operator has nothing else; or a person decides that"


@dataclass(frozen=True)
class Record:
    """One call that logs. `text`: what it says, without its fields."""

    path: str
    line: int
    function: str
    level: int
    text: str
    fields: frozenset[str]
    is_open: bool  # its fields come from elsewhere, and cannot be told

    @property
    def words(self) -> list[str]:
        """What it says besides its fields."""
        return re.findall(r"[a-z]{2,}", _NAMED.sub("", self.text.lower()))


def find_lost_records(look: str, diff: Diff) -> Iterator[Finding]:
    """One finding for each record of the base that HEAD's jobs do not make as well."""
    if not any(diff.python_files()):
        return
    old, new = _Side.read(diff, diff.before), _Side.read(diff, diff.after)
    files = {file.old_path: file for file in diff.python_files()}
    keys = _list_keys(diff)
    for was, now in _pair_records(old.records, new.records):
        file = files.get(was.path)
        if file is None:
            continue
        if now is None:
            yield from _describe_gone(look, file, was, old, new)
        else:
            yield from _describe_less(look, file, was, now, keys)


def _describe_gone(look: str, file: File, was: Record, old: _Side, new: _Side) -> Iterator[Finding]:
    # Where a function still says as much, or hands it to one that logs, the words are others.
    is_said_elsewhere = new.count_acts(was.function) >= old.count_acts(was.function)
    if was.level < _INFO or is_said_elsewhere:
        return
    said = f"{was.function} no longer logs {quoted(was.text or file.old_line(was.line))}"
    is_error = was.level >= _WARNING
    yield found(look, file, file.line_of(was.line), said, is_error=is_error, hint=_HINT)


def _describe_less(
    look: str, file: File, was: Record, now: Record, keys: frozenset[str]
) -> Iterator[Finding]:
    place = File(now.path, file.old_path, file.old, file.new)
    if now.level < was.level:
        said = f"a record of {was.function} has a lower level: {quoted(file.old_line(was.line))}"
        is_unheard = now.level < _INFO <= was.level or now.level < _ERROR <= was.level
        yield found(look, place, now.line, said, is_error=is_unheard, hint=_HINT)
    lost = was.fields - now.fields
    if not lost or now.is_open:
        return
    named = ", ".join(sorted(lost))
    said = f"a record of {was.function} no longer names {named}: {quoted(was.text)}"
    is_blind = _names_no_reason(was, now) or bool(lost & keys)
    is_error = is_blind and was.level >= _WARNING
    yield found(look, place, now.line, said, is_error=is_error, hint=_HINT)


def _names_no_reason(was: Record, now: Record) -> bool:
    had = not was.fields.isdisjoint(_REASONS)
    return had and now.fields.isdisjoint(_REASONS)


def _list_keys(diff: Diff) -> frozenset[str]:
    fields: set[str] = set()
    for file in diff.specs:
        document = file.old_document
        fields |= read_key_fields(document.value if document is not None else None)
    return frozenset(fields)


# -- pairs


def _pair_records(old: list[Record], new: list[Record]) -> Iterator[tuple[Record, Record | None]]:
    """Each record of the base with HEAD's that says the same, else with the one most like it."""
    left = list(new)
    unpaired = []
    for was in old:
        same = [now for now in left if now.text == was.text]
        if same:
            # Of several with the same words, the one in the same function with the same level.
            now = max(same, key=lambda one: (one.function == was.function, one.level == was.level))
            left.remove(now)
            yield was, now
        else:
            unpaired.append(was)
    for was in unpaired:
        most = _find_most_alike(was, left)
        if most is not None:
            left.remove(most)
        yield was, most


def _find_most_alike(was: Record, left: list[Record]) -> Record | None:
    most = max(left, key=lambda one: _compare_words(was, one), default=None)
    if most is not None and _compare_words(was, most) >= _ALIKE:
        return most
    # In the same function the words may be all others.
    return next((one for one in left if one.function == was.function), None)


def _compare_words(was: Record, now: Record) -> float:
    return SequenceMatcher(None, was.words, now.words, autojunk=False).ratio()


# -- one side


@dataclass(frozen=True)
class _Side:
    records: list[Record]
    acts: dict[str, int]  # function -> calls that log, or that hand it to a function that does

    def count_acts(self, function: str) -> int:
        return self.acts.get(function, 0)

    @classmethod
    def read(cls, diff: Diff, sources: CommitSources) -> _Side:
        project = sources.project
        reach = sources.reach_from(read_asked(diff, sources).handlers)
        records: list[Record] = []
        logging_functions: set[ast.AST] = set()
        for definition in reach.functions.values():
            own = list(_list_records(project, definition))
            records += own
            if own:
                logging_functions.add(definition.node)
        acts: dict[str, int] = {}
        for definition in reach.functions.values():
            count = 0
            for node in ast.walk(definition.node):
                if isinstance(node, ast.Call) and _is_act(
                    reach, definition, node, logging_functions
                ):
                    count += 1
            name = definition.module.qualname(definition.node)
            acts[name] = max(acts.get(name, 0), count)
        return cls(records, acts)


def _is_act(
    reach: Reach, definition: Definition, call: ast.Call, logging_functions: set[ast.AST]
) -> bool:
    if _read_level(definition.module, call) is not None:
        return True
    called = reach.definition(definition.module, call.func)
    return called is not None and called.node in logging_functions


def _list_records(project: Project, definition: Definition) -> Iterator[Record]:
    module = definition.module
    for node in ast.walk(definition.node):
        if not isinstance(node, ast.Call) or module.function_of(node) is not definition.node:
            continue
        level = _read_level(module, node)
        if level is None or not isinstance(definition.node, FunctionNode):
            continue
        arguments = node.args
        if last_word(node.func) == "log":
            arguments = node.args[1:]  # the first one is the level
        template = ""
        if arguments:
            template = _read_template(project, module, arguments[0])
        yield Record(
            path=module.path,
            line=node.lineno,
            function=module.qualname(definition.node),
            level=level,
            text=_PLACEHOLDER.sub("%", template),
            fields=frozenset(_list_fields(node, template, arguments[1:])),
            is_open=_is_open(node),
        )


def _is_open(call: ast.Call) -> bool:
    """Whether it is given `*fields` or `**fields`."""
    if ast.Starred in map(type, call.args):
        return True
    return any(keyword.arg is None for keyword in call.keywords)


def _read_level(module: Module, call: ast.Call) -> int | None:
    """The level of a call that logs; None where it does not."""
    if not isinstance(call.func, ast.Attribute):
        return None
    owner = _find_logger(call.func.value)
    if not _LOGGER.search(last_word(owner) or ""):
        return None
    if call.func.attr == "log" and call.args:
        return LEVELS.get((last_word(call.args[0]) or "").lower(), _INFO)
    return LEVELS.get(call.func.attr)


def _find_logger(owner: ast.expr) -> ast.expr:
    """`log` of `log.bind(order_id=7)`, `logging` of `logging.getLogger(__name__)`."""
    if not isinstance(owner, ast.Call):
        return owner
    made = owner.func
    if isinstance(made, ast.Attribute) and made.attr in ("bind", "getLogger", "opt"):
        return made.value
    return made


def _read_template(project: Project, module: Module, node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_say_part, node.values))
    value = project.literal(node, module)
    if isinstance(value, str):
        return value
    return ""


def _say_part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    return "{}"


def _list_fields(call: ast.Call, template: str, arguments: list[ast.expr]) -> Iterator[str]:
    named = _FIELD.findall(template)
    yield from named
    for keyword in call.keywords:
        if keyword.arg == "extra":
            yield from dict(list_keys(keyword.value))
        elif keyword.arg not in (None, "extra", "stack_info", "stacklevel"):
            yield str(keyword.arg)
    if last_word(call.func) == "exception":
        yield "exc_info"
    if not named:
        # Without names in the text, what it is given says what it names.
        yield from filter(None, map(last_word, arguments))

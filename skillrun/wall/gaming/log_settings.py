"""What mutes: a level, a filter, a disabled logger, in code, in a dictionary of settings or where a
worker is started.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from skillrun.core.verdict import Finding
from skillrun.frameworks.known.recognise import KnownRecogniser
from skillrun.frameworks.registry import recognisers
from skillrun.repo.python import Project, is_known
from skillrun.repo.source import Binding, FunctionNode, Module, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.log_records import LEVELS
from skillrun.wall.gaming.making import found, quoted, taken
from skillrun.wall.gaming.settings_named import list_changed_modules, list_keys
from skillrun.wall.gaming.starts import list_starts
from skillrun.wall.sources import CommitSources

_INFO = 20
_HINT = "let an operator hear what the jobs say; where it is meant, a person has to decide that"
_LEVEL_OPTION = re.compile(
    r"(?:^|\s)(?:-l|--log-?level|--logging-level|--loglevel)[=\s]+[\"']?(\w+)", re.IGNORECASE
)
_QUIET = re.compile(
    r"(?:^|\s)(--quiet|-q|--silent)(?=\s|$)|(&|1|2)?>>?\s*/dev/null|--logfile[= ]/dev/null"
)
_LEVEL_VARIABLE = re.compile(r"\b(\w*LOG_?LEVEL\w*)\s*[=:]\s*[\"']?(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Muting:
    """One place that mutes. `what`: the same on both sides, wherever it stands."""

    what: str
    line: int
    is_doubtful: bool = False


def find_muted(look: str, diff: Diff) -> Iterator[Finding]:
    """One finding for each place that newly mutes."""
    old, new = diff.before.project, diff.after.project
    known: Counter[str] = Counter()
    for _, module in list_changed_modules(diff, old, is_new=False):
        for muting in _list_mutings(diff.before, old, module):
            known[muting.what] += 1
    for file, module in list_changed_modules(diff, new, is_new=True):
        for muting in _list_mutings(diff.after, new, module):
            known[muting.what] -= 1
            if known[muting.what] >= 0:
                continue
            said = (
                f"what the jobs log is muted ({muting.what}): {quoted(file.new_line(muting.line))}"
            )
            is_error = not muting.is_doubtful
            yield found(look, file, muting.line, said, is_error=is_error, hint=_HINT)
    for file in diff.deployment:
        yield from _find_in_starts(look, file)


def _find_in_starts(look: str, file: File) -> Iterator[Finding]:
    """The command lines of workers, and the variables beside them."""
    old = [start.place.text for start in list_starts(file.old_path, file.old)]
    was_quiet = any(map(_QUIET.search, old))
    before = max(map(_read_option, old), default=_INFO)
    for start in list_starts(file.path, file.new):
        line = start.place.text
        is_higher = _read_option(line) > max(before, _INFO)
        is_quiet = bool(_QUIET.search(line)) and not was_quiet
        if is_higher or is_quiet:
            said = f"the worker logs less: {quoted(line)}"
            yield taken(look, file, start.place.line or 1, said, hint=_HINT)
    yield from _find_in_variables(look, file)


def _find_in_variables(look: str, file: File) -> Iterator[Finding]:
    held = dict(_LEVEL_VARIABLE.findall(file.old or ""))
    for number, line in file.added_lines():
        for name, word in _LEVEL_VARIABLE.findall(line):
            before = LEVELS.get(held.get(name, "").lower(), _INFO)
            if LEVELS.get(word.lower(), _INFO) > max(_INFO, before):
                said = f"the jobs log less: {quoted(line)}"
                yield taken(look, file, number, said, hint=_HINT)


def _read_option(line: str) -> int:
    option = _LEVEL_OPTION.search(line)
    if option is None:
        return _INFO
    return LEVELS.get(option[1].lower(), _INFO)


# -- code


def _list_mutings(sources: CommitSources, project: Project, module: Module) -> Iterator[Muting]:
    reader = _Reader(project, module, _list_own(sources))
    for node in module.all_nodes:
        if isinstance(node, ast.Call):
            yield from reader.read_call(node)
        elif isinstance(node, ast.Assign):
            yield from reader.read_assignment(node)
        elif isinstance(node, ast.Dict):
            yield from reader.read_settings(node)
        elif isinstance(node, FunctionNode):
            yield from reader.read_receiver(node)


def _list_own(sources: CommitSources) -> frozenset[str]:
    """The first words of the loggers that tell of jobs: the repository's, and the libraries'."""
    own = set(_list_libraries())
    for path in sources.texts:
        parts = path.removesuffix(".py").split("/")
        own.add(parts[0])
        if parts[0] in ("src", "app", "lib") and len(parts) > 1:
            own.add(parts[1])
    return frozenset(own)


@cache
def _list_libraries() -> tuple[str, ...]:
    names: list[str] = []
    for recogniser in recognisers():
        if isinstance(recogniser, KnownRecogniser) and recogniser.language == "python":
            names.append(recogniser.id.replace("-", "_"))
    return tuple(names)


@dataclass(frozen=True)
class _Reader:
    project: Project
    module: Module
    own: frozenset[str]

    def read_call(self, node: ast.Call) -> Iterator[Muting]:
        if last_word(node.func) == "addFilter" and isinstance(node.func, ast.Attribute):
            yield from self._read_filter(node, node.func.value)
        elif self._sets_level(node) or self._configures_level(node) or self._disables_all(node):
            yield Muting(ast.unparse(node), node.lineno)

    def _sets_level(self, node: ast.Call) -> bool:
        if not isinstance(node.func, ast.Attribute) or node.func.attr != "setLevel":
            return False
        return any(map(self._is_above_info, node.args)) and not self._is_others(node.func.value)

    def _configures_level(self, node: ast.Call) -> bool:
        if last_word(node.func) not in ("basicConfig", "configure"):
            return False
        levels = [keyword.value for keyword in node.keywords if keyword.arg == "level"]
        return self._is_of_logging(node) and any(map(self._is_above_info, levels))

    def _disables_all(self, node: ast.Call) -> bool:
        if last_word(node.func) != "disable" or not self._is_of_logging(node):
            return False
        return not node.args or self._read_level(node.args[0]) != 0

    def read_assignment(self, node: ast.Assign) -> Iterator[Muting]:
        for target in node.targets:
            if not isinstance(target, ast.Attribute) or not isinstance(node.value, ast.Constant):
                continue
            mutes = {"disabled": True, "propagate": False}.get(target.attr)
            is_muted = mutes is not None and node.value.value is mutes
            if is_muted and _is_logger(target.value) and not self._is_others(target.value):
                # A logger with a handler of its own speaks there.
                has_handler = target.attr == "propagate" and "addHandler" in ast.unparse(
                    self.module.tree
                )
                yield Muting(ast.unparse(node), node.lineno, has_handler)

    def read_settings(self, node: ast.Dict) -> Iterator[Muting]:
        """A dictionary of `logging.config`."""
        keys = _list_keys(node)
        if "version" not in keys or not {"loggers", "root", "handlers"} & keys.keys():
            return
        disabling = keys.get("disable_existing_loggers")
        keeps = disabling is not None and ast.unparse(disabling) == "False"
        if not keeps and not self._names_own_logger(keys.get("loggers")):
            # It is True where nobody says so, and the jobs' loggers were made when they were
            # imported. Django alone reads LOGGING before that.
            is_early = (
                "LOGGING" in ast.unparse(next(self.module.parents(node), node)).partition("=")[0]
            )
            yield Muting("disable_existing_loggers", node.lineno, is_early)
        parts = [("root", keys.get("root"))]
        for section in ("loggers", "handlers"):
            value = keys.get(section)
            if isinstance(value, ast.Dict):
                parts += list(_list_keys(value).items())
        for name, part in parts:
            if isinstance(part, ast.Dict) and not self._is_foreign_name(name, part, keys):
                yield from self._read_part(name, part)

    def _names_own_logger(self, loggers: ast.expr | None) -> bool:
        """Whether a logger of the repository is named: it and those below it stay."""
        if not isinstance(loggers, ast.Dict):
            return False
        names = {name.partition(".")[0] for name in _list_keys(loggers)}
        return not names.isdisjoint(self.own - set(_list_libraries()))

    def read_receiver(self, node: FunctionNode) -> Iterator[Muting]:
        """Celery leaves all logging to a receiver of `setup_logging`; an empty one leaves it at
        warnings.
        """
        named = " ".join(map(ast.unparse, node.decorator_list))
        if "setup_logging.connect" not in named:
            return
        words = {last_word(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
        if not words & {"basicConfig", "dictConfig", "fileConfig", "setLevel", "configure"}:
            yield Muting("setup_logging without a level", node.lineno)

    def _read_part(self, name: str, part: ast.Dict) -> Iterator[Muting]:
        keys = _list_keys(part)
        level = keys.get("level")
        if level is not None and self._is_above_info(level):
            yield Muting(f"{name}: {ast.unparse(level)}", level.lineno)
        if _is_cut_off(keys.get("propagate"), keys.get("handlers")):
            yield Muting(f"{name}: propagate", part.lineno)
        named = keys.get("class")
        if isinstance(named, ast.Constant) and str(named.value).endswith("NullHandler"):
            yield Muting(f"{name}: NullHandler", part.lineno, is_doubtful=True)

    def _is_foreign_name(self, name: str, part: ast.Dict, keys: dict[str, ast.expr]) -> bool:
        """A logger of another library; a handler or the root is nobody's."""
        loggers = keys.get("loggers")
        if not isinstance(loggers, ast.Dict) or part not in loggers.values:
            return False
        return bool(name) and name.partition(".")[0] not in self.own

    def _read_filter(self, node: ast.Call, owner: ast.expr) -> Iterator[Muting]:
        """A filter that lets everything through adds something to the records."""
        for given in node.args[:1]:
            name = self.module.resolve(getattr(given, "func", given)) or ""
            definition = self.project.definition(name)
            is_open = definition is not None and _lets_all_through(definition.node)
            if not is_open and not self._is_others(owner):
                is_doubtful = definition is None and not isinstance(given, ast.Lambda)
                yield Muting(ast.unparse(node), node.lineno, is_doubtful)

    def _is_of_logging(self, node: ast.Call) -> bool:
        name = self.module.resolve(node.func) or ""
        return name.startswith(("logging.", "structlog."))

    def _read_level(self, node: ast.expr) -> int | None:
        value = self.project.literal(node, self.module)
        if is_known(value) and isinstance(value, int):
            return value
        word = last_word(node) or ""
        if isinstance(value, str):
            word = value
        return LEVELS.get(word.lower())

    def _is_above_info(self, node: ast.expr) -> bool:
        """A level that cannot be told is somebody's setting."""
        level = self._read_level(node)
        return level is not None and level > _INFO

    def _is_others(self, node: ast.expr) -> bool:
        """Whether a logger is that of a library that tells nothing of jobs."""
        named = self._find_names(node)
        if not named:
            return False
        return all(name.partition(".")[0] not in self.own for name in named)

    def _find_names(self, node: ast.expr) -> list[str]:
        """The names of a logger; none for the root or where they cannot be told."""
        for binding in self._list_bindings(node):
            if isinstance(binding.value, ast.Call):
                return self._find_names(binding.value)
        if not isinstance(node, ast.Call) or not _is_logger(node):
            return []
        for named in node.args[:1]:
            for binding in self._list_bindings(named):
                if isinstance(binding.node, ast.For):
                    return self._list_texts(binding.node.iter)
            value = self.project.literal(named, self.module)
            if isinstance(value, str) and value:
                return [value]
        return []

    def _list_bindings(self, node: ast.expr) -> Iterator[Binding]:
        """Where a name gets its values; nothing of any other expression."""
        if isinstance(node, ast.Name):
            for scope in self.module.scopes_around(node):
                yield from self.module.bindings(scope).get(node.id, ())

    def _list_texts(self, node: ast.expr) -> list[str]:
        value = self.project.literal(node, self.module)
        if not isinstance(value, list | tuple | set):
            return []
        return [text for text in value if isinstance(text, str)]


def _lets_all_through(function: ast.AST) -> bool:
    returned = []
    for inner in ast.walk(function):
        if isinstance(inner, ast.Return) and inner.value is not None:
            returned.append(inner.value)
    return all(isinstance(value, ast.Constant) and value.value for value in returned)


def _is_cut_off(propagates: ast.expr | None, handlers: ast.expr | None) -> bool:
    """Whether a logger of the settings hands nothing on, and has no handler itself."""
    is_cut = isinstance(propagates, ast.Constant) and propagates.value is False
    return is_cut and not getattr(handlers, "elts", ())


def _is_logger(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return last_word(node.func) in ("getLogger", "get_logger", "get_task_logger")
    return bool(re.search(r"log", last_word(node) or "", re.IGNORECASE))


def _list_keys(node: ast.AST) -> dict[str, ast.expr]:
    return dict(list_keys(node))

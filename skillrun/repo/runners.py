"""Reads what task runners declare: nox, tox, invoke, poe, pdm, taskipy, rye, pixi, hatch, Pipfile,
composer.
"""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.repo.declared import (
    command_fact,
    line_with,
    scripts_of,
    shell_lines,
    table_at,
    text_of,
    toml_of,
)
from skillrun.repo.offers import Offer, Source
from skillrun.repo.shell import ALWAYS_SET, find_purpose, named_kind, unset_in_task
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_NOX = ("nox.session", "session", "nox_uv.session")
_INVOKE = ("task", "invoke.task")
# How tox and hatch write a variable that may be unset; `{env:HOST:localhost}` may not.
_ENV = re.compile(r"\{env:([A-Za-z_]\w*)\}")
# `DB_HOST=a` and `export DB_HOST=a` of a file `.env`.
_SET_IN_FILE = re.compile(r"(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=")


@dataclass(frozen=True)
class _Task:
    """A task of a runner that a table declares."""

    command: str
    path: str
    line: int
    runs: str
    name: str
    known: frozenset[str] = frozenset()  # variables that the runner's settings set


def runner_offers(tree: Tree) -> Iterator[Offer]:
    """Every session, environment and task whose name says a purpose."""
    yield from _decorated_offers(tree, "noxfile.py", _NOX, "nox --session")
    # tasks.py at the top may as well hold jobs.
    if "invoke" in (text_of(tree, "tasks.py") or ""):
        yield from _decorated_offers(tree, "tasks.py", _INVOKE, "inv")
    yield from _tox_offers(tree)
    for task in _declared_tasks(tree):
        named = named_kind(task.name)
        if named and not unset_in_task(task.runs, task.known, _ENV):
            fact = command_fact(task.command, task.path, task.line, task.runs)
            yield Offer(named[0], fact, Source.RUNNER, named[1])


def _decorated_offers(
    tree: Tree, path: str, decorators: tuple[str, ...], runner: str
) -> Iterator[Offer]:
    text = text_of(tree, path) or ""
    for node in _list_functions(text):
        name = _find_name(node, decorators)
        named = None
        if name:
            named = named_kind(name)
        if name and named and not _asks_for_more(node, text, runner):
            runs = "\n".join(map(ast.unparse, node.body))
            command = _spell_task(runner, name)
            fact = command_fact(command, path, node.lineno, runs)
            yield Offer(named[0], fact, Source.RUNNER, named[1])


def _find_name(node: ast.FunctionDef, decorators: tuple[str, ...]) -> str | None:
    """What a function is called on the command line; None where none of the decorators is on it."""
    for decorator in node.decorator_list:
        name = _name_on_command_line(decorator, node.name, decorators)
        if name:
            return name
    return None


def _spell_task(runner: str, name: str) -> str:
    """The command of a session or task; invoke writes `-` where the function has `_`."""
    if runner == "inv":
        name = name.replace("_", "-")
    return f"{runner} {name}"


def _asks_for_more(node: ast.FunctionDef, text: str, runner: str) -> bool:
    """Whether a session or task needs a variable that nothing sets, or of invoke an argument."""
    if any(_is_unset(read, text) for read in find_nodes(node, ast.Subscript)):
        return True
    return runner == "inv" and (_takes_argument(node) or _runs_with_unset(node))


def _is_unset(node: ast.Subscript, text: str) -> bool:
    """Whether it reads `os.environ["NAME"]`, which the file sets nowhere."""
    if not isinstance(node.ctx, ast.Load) or not _is_environment(node):
        return False
    if isinstance(node.slice, ast.Constant) and node.slice.value in ALWAYS_SET:
        return False
    name = re.escape(ast.unparse(node.slice))
    if re.search(rf"{name} (?:not )?in (?:os\.)?environ", text):
        return False
    return re.search(rf"environ(?:\[|\.setdefault\(){name}\]?\s*[=,]", text) is None


def _takes_argument(node: ast.FunctionDef) -> bool:
    """Whether an invoke task has a parameter that must be given: one without a default that is no
    list or count (`iterable=`, `incrementable=`), of those that `positional=` names if it does. The
    first is the context.
    """
    count = len(node.args.args) - len(node.args.defaults)
    needed = {one.arg for one in node.args.args[1:count]}
    for decorator in node.decorator_list:
        for keyword in getattr(decorator, "keywords", ()):
            names = {one.value for one in find_nodes(keyword.value, ast.Constant)}
            if keyword.arg in ("iterable", "incrementable"):
                needed -= names
            elif keyword.arg == "positional":
                needed &= names
    return bool(needed)


def _runs_with_unset(node: ast.FunctionDef) -> bool:
    """Whether a text in it is a check that needs a variable of the shell's."""
    texts = [one.value for one in find_nodes(node, ast.Constant) if isinstance(one.value, str)]
    return any(find_purpose(text) and unset_in_task(text) for text in texts)


def _is_environment(node: ast.Subscript) -> bool:
    """Whether it is `os.environ["NAME"]`."""
    is_named = isinstance(node.slice, ast.Constant)
    return is_named and ast.unparse(node.value) in ("os.environ", "environ")


def _list_functions(text: str) -> list[ast.FunctionDef]:
    try:
        functions = []
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                functions.append(node)
        return functions
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _name_on_command_line(
    decorator: ast.expr, function: str, decorators: tuple[str, ...]
) -> str | None:
    """What a decorated function is called on the command line."""
    if isinstance(decorator, ast.Call):
        call = decorator.func
    else:
        call = decorator
    if ast.unparse(call) not in decorators:
        return None
    keywords = []
    if isinstance(decorator, ast.Call):
        keywords = decorator.keywords
    given = next((one.value for one in keywords if one.arg == "name"), None)
    if isinstance(given, ast.Constant):
        return str(given.value)
    return function


def _tox_offers(tree: Tree) -> Iterator[Offer]:
    pyproject = table_at(toml_of(tree, "pyproject.toml"), "tool", "tox")
    for path, text in (
        ("tox.ini", text_of(tree, "tox.ini")),
        ("pyproject.toml", pyproject.get("legacy_tox_ini")),
    ):
        if isinstance(text, str) and (environments := _tox_environments(text)):
            known = frozenset(_SET_BY_TOX.findall(text)) | _TOX_SETS
            if _TOX_READS_FILE.search(text):
                known |= frozenset(_ENV.findall(text))
            line = line_with(tree, path, "[testenv")
            yield from _environment_offers(path, environments, line, known)
    if native := table_at(pyproject, "env"):
        commands = {}
        shared = set(table_at(pyproject, "env_run_base", "set_env"))
        for name in native:
            commands[name] = shell_lines(table_at(native, name).get("commands", ""))
            shared |= table_at(native, name, "set_env").keys()
        # `set_env = {file = "test.env"}`
        if "file" in shared:
            shared |= set(_ENV.findall("\n".join(commands.values())))
        line = line_with(tree, "pyproject.toml", "tool.tox")
        yield from _environment_offers(
            "pyproject.toml", commands, line, frozenset(shared) | _TOX_SETS
        )


def _tox_environments(text: str) -> dict[str, str]:
    """Environment -> its commands; "" is the plain [testenv]."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    found = {name: parser.get(name, "commands", fallback="") or "" for name in parser.sections()}
    return {
        name[7:].lstrip(":"): text for name, text in found.items() if name.startswith("testenv")
    }


# `setenv = DB_HOST = localhost`, and the lines below it.
_TOX_SETS = frozenset({"TOX_ENV_NAME", "TOX_ENV_DIR", "TOX_WORK_DIR", "VIRTUAL_ENV"})
# `py311,py312: DB_HOST = a` holds for some environments, which is taken for set.
_SET_BY_TOX = re.compile(
    r"(?m)^(?:set_?env\s*=)?[ \t]*(?:[\w.!,{}-]+:[ \t]+)?([A-Za-z_]\w*)[ \t]*="
)
# `setenv = file|test.env`: what a file sets, nobody knows here.
_TOX_READS_FILE = re.compile(r"(?m)^(?:set_?env\s*=)?[ \t]*file\|")


def _environment_offers(
    path: str, environments: Mapping[str, str], line: int, known: frozenset[str]
) -> Iterator[Offer]:
    for name, runs in environments.items():
        # tox starts no shell, so that `$NAME` is no variable.
        if any(one not in known for one in unset_in_task(runs.replace("$", ""), known, _ENV)):
            continue
        if not name and runs:
            yield Offer("test", command_fact("tox", path, line, runs.strip()), Source.RUNNER, 1)
        elif named := named_kind(name):
            yield Offer(
                named[0],
                command_fact(f"tox -e {name}", path, line, runs.strip()),
                Source.RUNNER,
                named[1],
            )


def _declared_tasks(tree: Tree) -> Iterator[_Task]:
    """The tasks of the runners that pyproject.toml, Pipfile and composer.json set up."""
    tool = table_at(toml_of(tree, "pyproject.toml"), "tool")
    poe, pdm = table_at(tool, "poe"), table_at(tool, "pdm", "scripts")
    tables = [
        ("poe", table_at(poe, "tasks"), table_at(poe, "env")),
        ("pdm run", pdm, table_at(pdm, "_", "env")),
        ("task", table_at(tool, "taskipy", "tasks"), {}),
        ("rye run", table_at(tool, "rye", "scripts"), {}),
        ("pixi run", table_at(tool, "pixi", "tasks"), table_at(tool, "pixi", "activation", "env")),
    ]
    for name, environment in table_at(tool, "hatch", "envs").items():
        runner = "hatch run" if name == "default" else f"hatch run {name}:"
        scripts = table_at(environment, "scripts")
        tables.append((runner, scripts, table_at(environment, "env-vars")))
    for runner, table, variables in tables:
        yield from _task_table("pyproject.toml", tree, runner, table, variables)
    pipfile = table_at(toml_of(tree, "Pipfile"), "scripts")
    # pipenv reads the file beside its Pipfile, where the repository has one.
    beside = dict.fromkeys(_SET_IN_FILE.findall(text_of(tree, ".env") or ""))
    yield from _task_table("Pipfile", tree, "pipenv run", pipfile, beside)
    for name, value in scripts_of(tree, "composer.json").items():
        # `composer check` and the like may be commands of composer itself: only `run` always means
        # the script.
        line = line_with(tree, "composer.json", f'"{name}"')
        yield _Task(f"composer run {name}", "composer.json", line, shell_lines(value), name)


def _task_table(
    path: str, tree: Tree, runner: str, table: Mapping[str, Any], variables: Mapping[str, Any]
) -> Iterator[_Task]:
    """`variables`: those that the runner sets for all of its tasks."""
    for name, value in table.items():
        space = " "
        if runner.endswith(":"):
            space = ""
        known = frozenset({*variables, *table_at(value, "env"), *_list_defaults(value)})
        runs = shell_lines(value)
        # What a file may set, nobody knows here.
        if isinstance(value, dict) and {"envfile", "env_file"} & value.keys():
            known |= frozenset(unset_in_task(runs, (), _ENV))
        line = line_with(tree, path, f"{name} =")
        yield _Task(f"{runner}{space}{name}", path, line, runs, name, known)


def _list_defaults(value: Any) -> list[str]:
    """The arguments of a poe task that have a default: they are variables of its command."""
    return [name for name, options in _list_arguments(value) if "default" in options]


def _list_arguments(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, options) of `args`, which is a table of them or a list."""
    named = table_at(value, "args")
    for name in named:
        yield name, table_at(named, name)
    if isinstance(value, dict) and isinstance(value.get("args"), list):
        for one in value["args"]:
            if isinstance(one, dict):
                yield str(one.get("name", "")), one

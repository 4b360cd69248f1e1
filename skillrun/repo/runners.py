"""Reads what task runners declare: nox, tox, invoke, poe, pdm, taskipy, rye, pixi, hatch, Pipfile,
composer.
"""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator, Mapping
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
from skillrun.repo.shell import named_kind

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_NOX = ("nox.session", "session", "nox_uv.session")
_INVOKE = ("task", "invoke.task")


def runner_offers(tree: Tree) -> Iterator[Offer]:
    """Every session, environment and task whose name says a purpose."""
    yield from _decorated_offers(tree, "noxfile.py", _NOX, "nox --session")
    # tasks.py at the top may as well hold jobs.
    if "invoke" in (text_of(tree, "tasks.py") or ""):
        yield from _decorated_offers(tree, "tasks.py", _INVOKE, "inv")
    yield from _tox_offers(tree)
    for command, path, line, runs, name in _declared_tasks(tree):
        named = named_kind(name)
        if named:
            yield Offer(named[0], command_fact(command, path, line, runs), Source.RUNNER, named[1])


def _decorated_offers(
    tree: Tree, path: str, decorators: tuple[str, ...], runner: str
) -> Iterator[Offer]:
    for node in _list_functions(text_of(tree, path) or ""):
        name = next(
            (
                found
                for one in node.decorator_list
                if (found := _name_on_command_line(one, node.name, decorators))
            ),
            None,
        )
        named = None
        if name:
            named = named_kind(name)
        if name and named:
            runs = "\n".join(map(ast.unparse, node.body))
            command = f"{runner} {name if runner != 'inv' else name.replace('_', '-')}"
            yield Offer(
                named[0], command_fact(command, path, node.lineno, runs), Source.RUNNER, named[1]
            )


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
            yield from _environment_offers(path, environments, line_with(tree, path, "[testenv"))
    if native := table_at(pyproject, "env"):
        commands = {}
        for name in native:
            commands[name] = shell_lines(table_at(native, name).get("commands", ""))
        yield from _environment_offers(
            "pyproject.toml", commands, line_with(tree, "pyproject.toml", "tool.tox")
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


def _environment_offers(path: str, environments: Mapping[str, str], line: int) -> Iterator[Offer]:
    for name, runs in environments.items():
        if not name and runs:
            yield Offer("test", command_fact("tox", path, line, runs.strip()), Source.RUNNER, 1)
        elif named := named_kind(name):
            yield Offer(
                named[0],
                command_fact(f"tox -e {name}", path, line, runs.strip()),
                Source.RUNNER,
                named[1],
            )


def _declared_tasks(tree: Tree) -> Iterator[tuple[str, str, int, str, str]]:
    """(command, path, line, what it runs, name) of the runners that pyproject.toml, Pipfile,
    composer.json set up.
    """
    tool = table_at(toml_of(tree, "pyproject.toml"), "tool")
    tables = [
        ("poe", table_at(tool, "poe", "tasks")),
        ("pdm run", table_at(tool, "pdm", "scripts")),
        ("task", table_at(tool, "taskipy", "tasks")),
        ("rye run", table_at(tool, "rye", "scripts")),
        ("pixi run", table_at(tool, "pixi", "tasks")),
    ]
    for name, environment in table_at(tool, "hatch", "envs").items():
        tables.append(
            (
                "hatch run" if name == "default" else f"hatch run {name}:",
                table_at(environment, "scripts"),
            )
        )
    for runner, table in tables:
        yield from _task_table("pyproject.toml", tree, runner, table)
    yield from _task_table(
        "Pipfile", tree, "pipenv run", table_at(toml_of(tree, "Pipfile"), "scripts")
    )
    for name, value in scripts_of(tree, "composer.json").items():
        # `composer check` and the like may be commands of composer itself: only `run` always means
        # the script.
        line = line_with(tree, "composer.json", f'"{name}"')
        yield f"composer run {name}", "composer.json", line, shell_lines(value), name


def _task_table(
    path: str, tree: Tree, runner: str, table: Mapping[str, Any]
) -> Iterator[tuple[str, str, int, str, str]]:
    for name, value in table.items():
        space = " "
        if runner.endswith(":"):
            space = ""
        yield (
            f"{runner}{space}{name}",
            path,
            line_with(tree, path, f"{name} ="),
            shell_lines(value),
            name,
        )

"""Reads every place where a repository declares its commands: make, just, task runners, scripts, CI, agent notes."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skillrun.repo.ci import ci_offers
from skillrun.repo.commands import CommandFact
from skillrun.repo.makefile import Recipe, just_recipes, make_recipes
from skillrun.repo.managers import javascript_manager
from skillrun.repo.offers import Offer, Source
from skillrun.repo.places import is_aside, is_shown
from skillrun.repo.shell import named_kind, purpose

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_RUNS = 2000  # characters kept of what a command stands for
_PLACEHOLDER = re.compile(r"[<>…\[\]]|\.\.\.(?!/)|path/to|\bfoo\b")
_SCRIPT_FOLDERS = frozenset({"", "scripts", "script", "bin", "dev", "tools", "ci", "hack"})
_SCRIPT_NAME = re.compile(r"(?:run[-_])?([\w-]+?)(?:\.sh|\.bash)?")
_AGENT_NOTES = frozenset({"AGENTS.md", "CLAUDE.md", ".github/copilot-instructions.md", "GEMINI.md", ".cursorrules"})
_LINT_HOOKS = re.compile(r"ruff|flake8|black|pylint|isort|eslint|biome|prettier|rubocop|golangci|djlint|lint|pyupgrade")
_TYPE_HOOKS = re.compile(r"(?:mypy|pyright|basedpyright|pyrefly|ty)(?:-\w+)?")


def offers(tree: Tree, languages: tuple[str, ...]) -> Iterator[Offer]:
    """Every declared command whose purpose is plain from its name or from what it runs."""
    yield from _make_offers(tree)
    yield from _just_offers(tree)
    yield from _runner_offers(tree)
    yield from _script_offers(tree)
    yield from _package_offers(tree, languages)
    yield from ci_offers(tree, languages)
    yield from _pre_commit_offers(tree)
    yield from _note_offers(tree)


def _text(tree: Tree, path: str) -> str | None:
    data = tree.peek(path)
    return None if data is None else data.decode("utf-8", "replace")


def _fact(command: str, path: str, line: int, runs: str) -> CommandFact:
    return CommandFact(command, path, line, runs[:_RUNS])


def _make_offers(tree: Tree) -> Iterator[Offer]:
    path = next((name for name in ("GNUmakefile", "makefile", "Makefile") if tree.peek(name) is not None), None)
    recipes = make_recipes(path, lambda name: _text(tree, name)) if path else {}
    yield from _recipe_offers("make", recipes)


def _just_offers(tree: Tree) -> Iterator[Offer]:
    path = next((name for name in tree.files if name.lower() in ("justfile", ".justfile")), None)
    recipes = just_recipes(path, lambda name: _text(tree, name)) if path else {}
    yield from _recipe_offers("just", recipes)


def _recipe_offers(tool: str, recipes: Mapping[str, Recipe]) -> Iterator[Offer]:
    for name, recipe in recipes.items():
        if recipe.empty or name.startswith((".", "_")):
            continue
        runs = "\n".join(recipe.lines)
        fact = _fact(f"{tool} {name}", recipe.path, recipe.line, runs)
        named = _module_kind(name) or named_kind(name)
        if named:
            yield Offer(named[0], fact, Source.MAKE, named[1])
        elif kind := _only_purpose(recipe.lines):
            yield Offer(kind, fact, Source.SIDE_PACKAGE, 50)


def _module_kind(name: str) -> tuple[str, int] | None:
    """The recipes of a module that is named for a purpose, e.g. "test backend"."""
    module, _, recipe = name.partition(" ")
    plainest = ("all", "backend", "unit", "default")
    named = named_kind(module) if recipe in plainest else None
    return (named[0], plainest.index(recipe)) if named else None


def _only_purpose(lines: Iterable[str]) -> str | None:
    """The one purpose of all lines of a recipe whose name says nothing; building takes a name."""
    kinds = {purpose(line) for line in lines if not re.match(r"@?(?:echo|printf|#)", line)}
    return next(iter(kinds)) if len(kinds) == 1 and kinds <= {"lint", "typecheck", "test"} else None


def _runner_offers(tree: Tree) -> Iterator[Offer]:
    yield from _nox_offers(tree)
    yield from _tox_offers(tree)
    for command, path, line, runs, name in _declared_tasks(tree):
        named = named_kind(name)
        if named:
            yield Offer(named[0], _fact(command, path, line, runs), Source.RUNNER, named[1])


def _nox_offers(tree: Tree) -> Iterator[Offer]:
    for node in _functions(_text(tree, "noxfile.py") or ""):
        session = next((found for one in node.decorator_list if (found := _session_name(one, node.name))), None)
        named = named_kind(session) if session else None
        if named:
            fact = _fact(f"nox --session {session}", "noxfile.py", node.lineno, "\n".join(map(ast.unparse, node.body)))
            yield Offer(named[0], fact, Source.RUNNER, named[1])


def _functions(text: str) -> list[ast.FunctionDef]:
    try:
        return [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError):
        return []


def _session_name(decorator: ast.expr, function: str) -> str | None:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    if ast.unparse(call) not in ("nox.session", "session", "nox_uv.session"):
        return None
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    given = next((one.value for one in keywords if one.arg == "name"), None)
    return str(given.value) if isinstance(given, ast.Constant) else function


def _tox_offers(tree: Tree) -> Iterator[Offer]:
    pyproject = _toml(tree, "pyproject.toml").get("tool", {}).get("tox", {})
    for path, text in (("tox.ini", _text(tree, "tox.ini")), ("pyproject.toml", pyproject.get("legacy_tox_ini"))):
        if isinstance(text, str) and (environments := _tox_environments(text)):
            yield from _environment_offers(path, environments, _line(tree, path, "[testenv"))
    if native := pyproject.get("env", {}):
        environments = {name: str(table.get("commands", "")) for name, table in native.items()}
        yield from _environment_offers("pyproject.toml", environments, _line(tree, "pyproject.toml", "tool.tox"))


def _tox_environments(text: str) -> dict[str, str]:
    """Environment -> its commands; "" is the plain [testenv]."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    found = {name: parser.get(name, "commands", fallback="") or "" for name in parser.sections()}
    return {name[7:].lstrip(":"): text for name, text in found.items() if name.startswith("testenv")}


def _environment_offers(path: str, environments: Mapping[str, str], line: int) -> Iterator[Offer]:
    for name, runs in environments.items():
        if not name and runs:
            yield Offer("test", _fact("tox", path, line, runs.strip()), Source.RUNNER, 1)
        elif named := named_kind(name):
            yield Offer(named[0], _fact(f"tox -e {name}", path, line, runs.strip()), Source.RUNNER, named[1])


def _declared_tasks(tree: Tree) -> Iterator[tuple[str, str, int, str, str]]:
    """(command, path, line, what it runs, name) of the runners that pyproject.toml, Pipfile, composer.json set up."""
    tool = _toml(tree, "pyproject.toml").get("tool", {})
    tables = [
        ("poe", tool.get("poe", {}).get("tasks")),
        ("pdm run", tool.get("pdm", {}).get("scripts")),
        ("task", tool.get("taskipy", {}).get("tasks")),
        ("rye run", tool.get("rye", {}).get("scripts")),
        ("pixi run", tool.get("pixi", {}).get("tasks")),
    ]
    for name, environment in tool.get("hatch", {}).get("envs", {}).items():
        runner = "hatch run" if name == "default" else f"hatch run {name}:"
        tables.append((runner, environment.get("scripts") if isinstance(environment, dict) else None))
    for runner, table in tables:
        yield from _task_table("pyproject.toml", tree, runner, table)
    yield from _task_table("Pipfile", tree, "pipenv run", _toml(tree, "Pipfile").get("scripts"))
    for name, value in _scripts(tree, "composer.json").items():
        runs = value if isinstance(value, str) else json.dumps(value, default=str)
        yield f"composer {name}", "composer.json", _line(tree, "composer.json", f'"{name}"'), runs, name


def _task_table(path: str, tree: Tree, runner: str, table: Any) -> Iterator[tuple[str, str, int, str, str]]:
    for name, value in table.items() if isinstance(table, dict) else ():
        space = "" if runner.endswith(":") else " "
        runs = value if isinstance(value, str) else json.dumps(value, default=str)
        yield f"{runner}{space}{name}", path, _line(tree, path, f"{name} ="), runs, name


def _toml(tree: Tree, path: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(_text(tree, path) or "")
    except (ValueError, RecursionError):
        return {}


def _line(tree: Tree, path: str, needle: str) -> int:
    lines = (_text(tree, path) or "").splitlines()
    return next((number for number, line in enumerate(lines, 1) if needle in line), 1)


def _script_offers(tree: Tree) -> Iterator[Offer]:
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        if (
            folder.count("/") > 1
            or is_shown(path)
            or folder.rpartition("/")[2] not in _SCRIPT_FOLDERS
            or "." in name[:-5]
        ):
            continue
        if offer := _script_offer(tree, path, name):
            yield offer


def _script_offer(tree: Tree, path: str, name: str) -> Offer | None:
    """A shell script that is named for a purpose, or a `check` that does nothing but check types first."""
    plain = _SCRIPT_NAME.fullmatch(name)
    if not plain or (named := named_kind(plain[1]) or (("typecheck", 9) if plain[1] == "check" else None)) is None:
        return None
    text = _text(tree, path) or ""
    runs = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not runs or not (name.endswith("sh") or text.startswith("#!")):
        return None
    kinds = {purpose(re.sub(r"^\$\{?\w+\}?", "", line)) for line in runs}
    if named[1] == 9 and "typecheck" not in kinds:
        return None
    command = path if os.access(tree.root / path, os.X_OK) else f"{'bash' if 'bash' in text[:30] else 'sh'} {path}"
    command = f"./{command}" if command == name else command
    return Offer(named[0], _fact(command, path, 1, "\n".join(runs)), Source.SCRIPT, named[1])


def _package_offers(tree: Tree, languages: tuple[str, ...]) -> Iterator[Offer]:
    manager = javascript_manager(tree) or "npm"
    javascript = languages[:1] in (("javascript",), ("typescript",))
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        if name != "package.json" or path.count("/") > 2 or is_aside(path):
            continue
        source = Source.PACKAGE_JSON if javascript and not folder else Source.SIDE_PACKAGE
        for script, runs in _scripts(tree, path).items():
            named = named_kind(script)
            if (
                named
                and isinstance(runs, str)
                and "no test specified" not in runs
                and (javascript or named[0] == "build")
            ):
                fact = _fact(_package_command(manager, folder, script), path, _line(tree, path, f'"{script}"'), runs)
                yield Offer(named[0], fact, source, named[1])


def _scripts(tree: Tree, path: str) -> dict[str, Any]:
    try:
        data = json.loads(_text(tree, path) or "{}")
    except (ValueError, RecursionError):
        return {}
    scripts = data.get("scripts") if isinstance(data, dict) else None
    return scripts if isinstance(scripts, dict) else {}


def _package_command(manager: str, folder: str, script: str) -> str:
    where = {"npm": "--prefix", "pnpm": "--dir", "yarn": "--cwd", "bun": "--cwd"}[manager]
    run = "" if manager in ("yarn", "pnpm") or (manager == "npm" and script == "test") else "run "
    return f"{manager} {where} {folder} {run}{script}" if folder else f"{manager} {run}{script}"


def _pre_commit_offers(tree: Tree) -> Iterator[Offer]:
    path = ".pre-commit-config.yaml"
    hooks = list(re.finditer(r"(?m)^\s*-?\s*id:\s*[\"']?([\w.-]+)", _text(tree, path) or ""))
    text = _text(tree, path) or ""
    for hook in hooks:
        line = text.count("\n", 0, hook.start(1)) + 1
        if _TYPE_HOOKS.fullmatch(hook[1]):
            command = f"pre-commit run {hook[1]} --all-files"
            yield Offer("typecheck", CommandFact(command, path, line, hook[1]), Source.PRE_COMMIT)
        elif _LINT_HOOKS.search(hook[1]):
            runs = " ".join(one[1] for one in hooks)
            yield Offer("lint", _fact("pre-commit run --all-files", path, 1, runs), Source.PRE_COMMIT)


def _note_offers(tree: Tree) -> Iterator[Offer]:
    """Commands in code spans and code blocks of the notes to agents."""
    for path in sorted(_AGENT_NOTES.intersection(tree.files)):
        fenced = False
        for number, line in enumerate((_text(tree, path) or "").splitlines(), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
                continue
            for code in [line.strip()] if fenced else re.findall(r"`([^`]+)`", line):
                command = re.split(r"\s+#", code)[0].strip()
                kind = purpose(command)
                if kind and " " in command and not _PLACEHOLDER.search(command):
                    yield Offer(kind, CommandFact(command, path, number, command), Source.AGENTS)

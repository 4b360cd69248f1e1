"""Reads every place where a repository declares its commands: make, just, task runners, scripts,
CI, agent notes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.repo.called_scripts import read_called
from skillrun.repo.ci import ci_offers
from skillrun.repo.commands import CommandFact, Commands
from skillrun.repo.declared import command_fact, line_with, text_of
from skillrun.repo.languages import JAVASCRIPT, LANGUAGE_OF
from skillrun.repo.makefile import Recipe, just_recipes, make_recipes
from skillrun.repo.offers import Offer, Source
from skillrun.repo.packages import is_beside, package_offers
from skillrun.repo.places import is_aside, is_shown
from skillrun.repo.runners import runner_offers
from skillrun.repo.shell import (
    changes_files,
    checks_types,
    find_purpose,
    folder_after,
    is_partial,
    moved_to,
    named_kind,
    resets_database,
    runs_front_end,
    tests_as_well,
    unset_in_script,
    unset_in_task,
    unset_variables,
    without_prefix,
)

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

# What the reader of a note is to fill in first is no command as it stands.
_PLACEHOLDER = re.compile(r"[<>…\[\]]|\.\.\.(?!/)|path/to|\bfoo\b")
_RECIPE_FILES = frozenset({"gnumakefile", "makefile", "justfile", ".justfile"})
_TASKFILE = re.compile(r"(?i:taskfile)(?:\.dist)?\.ya?ml")
_TASK = re.compile(r"(?m)^([ ]{1,4})[\"']?([\w:.-]+?)[\"']?:[ ]*(?=$|\S)")
_TASK_LINE = re.compile(r"(?m)^[ ]*-[ ]+(?!\w+:)(.*?)(?:[ ]*\{\{[^}]*\}\})*[ ]*$")
# The same with what ends in a template, which a variable may be.
_TASK_COMMAND = re.compile(r"(?m)^[ ]*(?:-|cmds?:)[ ]+(?:cmd:[ ]*)?(.*)$")
_TEMPLATE = re.compile(r"\{\{\.([A-Za-z_]\w*)\}\}")
_KEY = re.compile(r"(?m)(?:^[ ]*-?|[{,])[ ]*([A-Za-z_]\w*):")
# `requires: {vars: [A]}`, or `requires:` with `vars:` and its members below.
_REQUIRES = re.compile(
    r"(?m)^[ ]+requires:[ ]*(?:\{[ ]*)?(?:\n[ ]+)?vars:[ ]*(\[[^\]]*\]|(?:\n[ ]+-.*)+|)"
)
_NAME = re.compile(r"(?<=[\s\[,{])(?!(?:name|enum)\s*:)([A-Za-z_]\w*)(?=\s*(?:[,\]}\n]|$))")
_OTHER_FILES = re.compile(r"(?m)^[ ]*(?:dotenv|includes):")
_SET_BY_TASK = frozenset(
    {
        *("CLI_ARGS", "CLI_ARGS_LIST", "CLI_FORCE", "TASK", "ALIAS", "ROOT_DIR", "TASK_DIR"),
        *("ROOT_TASKFILE", "TASKFILE", "TASKFILE_DIR", "USER_WORKING_DIR", "TASK_VERSION"),
        *("TASK_EXE", "ITEM", "MATCH", "EXIT_CODE", "CHECKSUM", "TIMESTAMP"),
    }
)
_SCRIPT_FOLDERS = frozenset({"", "scripts", "script", "bin", "dev", "tools", "ci", "hack"})
_SCRIPT_NAME = re.compile(r"(?:run[-_])?([\w-]+?)(?:\.sh|\.bash)?")
_NOTES = frozenset(
    {
        *("AGENTS.md", "CLAUDE.md", ".github/copilot-instructions.md", "GEMINI.md", ".cursorrules"),
        *("CONTRIBUTING.md", ".github/CONTRIBUTING.md", "docs/CONTRIBUTING.md", "DEVELOPMENT.md"),
    }
)
_HOOK = re.compile(r"(?m)^\s*-?\s*id:\s*[\"']?([\w.-]+)")
_HOOK_RUNS = re.compile(r"(?m)^\s*(?:entry|args):\s*(.+)$")
_LINT_HOOKS = re.compile(
    r"ruff|flake8|black|pylint|isort|eslint|biome|prettier|rubocop|golangci|djlint|lint|pyupgrade"
)
_TYPE_HOOKS = re.compile(r"(?:mypy|pyright|basedpyright|pyrefly|ty)(?:-\w+)?")


def find_commands(tree: Tree, languages: tuple[str, ...] = ()) -> Commands:
    """Reads the places where commands are declared, the most deliberate first."""
    best: dict[str, CommandFact] = {}
    for offer in sorted(list_offers(tree, languages), key=lambda offer: offer.order):
        best.setdefault(offer.kind, offer.fact)
    return Commands(**best)


def list_offers(tree: Tree, languages: tuple[str, ...]) -> Iterator[Offer]:
    """Every declared command whose purpose is plain from its name or from what it runs."""
    for offer in _declared_offers(tree, languages):
        called = read_called(tree, f"{offer.fact.command}\n{offer.fact.runs}")
        if resets_database(f"{offer.fact.command}\n{offer.fact.runs}\n{called}"):
            continue
        if _mends(offer, called):
            continue
        yield offer
        if offer.kind == "lint" and checks_types(offer.fact.runs):
            yield replace(offer, kind="typecheck", source=Source.INSIDE)
        if offer.kind == "build" and tests_as_well(offer.fact.command):
            yield replace(offer, kind="test", source=Source.INSIDE)


def _mends(offer: Offer, called: str) -> bool:
    """Whether a check, or a script that it calls, changes the files. Of pre-commit, hooks are no
    command lines, and those that mend fail where they do.
    """
    if offer.source is Source.PRE_COMMIT or offer.kind == "build":
        return False
    return changes_files(f"{offer.fact.runs}\n{called}")


def _declared_offers(tree: Tree, languages: tuple[str, ...]) -> Iterator[Offer]:
    yield from _recipe_offers(tree, languages)
    yield from _taskfile_offers(tree)
    yield from runner_offers(tree)
    yield from _script_offers(tree)
    yield from package_offers(tree, languages)
    yield from ci_offers(tree, languages)
    yield from _hook_offers(tree)
    yield from _note_offers(tree)


def _recipe_offers(tree: Tree, languages: tuple[str, ...]) -> Iterator[Offer]:
    """The recipes of the Makefile and the justfile at the top, then those of the folders with the
    main sources.
    """
    for path in _recipe_files(tree, languages):
        folder, _, name = path.rpartition("/")
        if name.lower().endswith("justfile"):
            read_recipes, command = just_recipes, "just "
            if folder:
                command = f"just {folder}/"
        else:
            read_recipes, command = make_recipes, "make "
            if folder:
                command = f"make -C {folder} "
        recipes = read_recipes(path, lambda name: text_of(tree, name))
        if folder:
            yield from _offer_named(command, recipes, Source.SIDE_PACKAGE)
        else:
            own = _leave_out_others(recipes, languages[:1])
            yield from _offer_named(command, own, Source.MAKE)
            yield from _offer_unnamed(command, own, languages[:1])


def _recipe_files(tree: Tree, languages: tuple[str, ...]) -> Iterator[str]:
    found: dict[tuple[str, str], str] = {}
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        if "/" not in folder and name.lower() in _RECIPE_FILES:
            tool = "make"
            if name.lower().endswith("justfile"):
                tool = "just"
            # GNUmakefile, Makefile, makefile.
            found[folder, tool] = min(path, found.get((folder, tool), path))
    for (folder, _), path in found.items():
        if not folder or _is_of_the_application(tree, path, folder, languages[:1]):
            yield path


def _is_of_the_application(tree: Tree, path: str, folder: str, main: tuple[str, ...]) -> bool:
    """Whether the recipes of a folder are for the application's own sources."""
    if is_aside(path) or is_beside(tree, folder, main):
        return False
    return _holds_sources(tree, folder, main)


def _taskfile_offers(tree: Tree) -> Iterator[Offer]:
    """The tasks of go-task's Taskfile.yml."""
    path = next(filter(_TASKFILE.fullmatch, tree.files), None)
    text = (text_of(tree, path) if path else None) or ""
    _, started, body = text.partition("\ntasks:")
    if not path or not started:
        return
    line = text.count("\n", 0, len(text) - len(body)) + 1
    held = "\n" + body.partition("\n")[2]
    for task, end in _list_tasks(held):
        named = named_kind(task[2])
        runs = "\n".join(_TASK_LINE.findall(held[task.start() : end]))
        block = held[task.start() : end]
        if named and runs and not _needs_unset(block, text):
            number = line + held.count("\n", 0, task.start(2))
            fact = command_fact(f"task {task[2]}", path, number, runs)
            yield Offer(named[0], fact, Source.MAKE, named[1])


def _needs_unset(block: str, text: str) -> bool:
    """Whether a task of a Taskfile needs a variable that nothing in the file sets. With `dotenv:`
    another file may set any.
    """
    if required := _REQUIRES.search(block):
        # A requirement that the file itself meets asks nobody.
        without = text.replace(required[0], "")
        if not required[1] or set(_NAME.findall(required[1])) - {*_KEY.findall(without)}:
            return True
    if _OTHER_FILES.search(text):
        return False
    known = {*_KEY.findall(text), *_SET_BY_TASK}
    runs = re.sub(r"\{\{\s*(\.\w+)\s*\}\}", r"{{\1}}", "\n".join(_TASK_COMMAND.findall(block)))
    return bool(unset_in_task(runs, known, _TEMPLATE))


def _list_tasks(held: str) -> list[tuple[re.Match[str], int | None]]:
    """The names that stand as deep as the first one, and where each of their tasks ends."""
    names = list(_TASK.finditer(held))
    names = [name for name in names if name[1] == names[0][1]]
    ends = [name.start() for name in names[1:]]
    return list(zip(names, [*ends, None], strict=False))


def _holds_sources(tree: Tree, folder: str, languages: tuple[str, ...]) -> bool:
    sources = (path for path in tree.files if path.startswith(f"{folder}/"))
    return any(LANGUAGE_OF.get(path.rpartition(".")[2]) in languages for path in sources)


def _leave_out_others(recipes: Mapping[str, Recipe], main: tuple[str, ...]) -> dict[str, Recipe]:
    """The recipes without those that check the documentation, or beside another language the front
    end alone.
    """
    own = {}
    for name, recipe in recipes.items():
        folders = {_find_folder(line) for line in _list_work(recipe.lines)}
        is_beside = JAVASCRIPT.isdisjoint(main) and _checks_front_end(name, recipe)
        if not is_beside and not (folders and all(is_shown(f"{one}/") for one in folders)):
            own[name] = recipe
    return own


def _find_folder(line: str) -> str:
    """The folder where a line of a recipe does its work: "docs" of `cd docs && npm test`."""
    return folder_after(line.lstrip("@-")).strip("./")


def _checks_front_end(name: str, recipe: Recipe) -> bool:
    """Whether a recipe that is named for a check goes to a folder and runs a front end's tools."""
    named = _kind_of_recipe(name)
    lines = _list_work(recipe.lines)
    if named is None or named[0] == "build" or recipe.needs or not lines:
        return False
    return all(_find_folder(line) and runs_front_end(without_prefix(line)) for line in lines)


def _offer_named(command: str, recipes: Mapping[str, Recipe], source: Source) -> Iterator[Offer]:
    """The recipes whose name says what they are for."""
    for name, recipe in _list_public(recipes):
        named = _kind_of_recipe(name)
        if named and _runs_as_it_is(recipe, named[0], recipes):
            yield Offer(named[0], _state_recipe(command, name, recipe), source, named[1])


def _offer_unnamed(
    command: str, recipes: Mapping[str, Recipe], main: tuple[str, ...]
) -> Iterator[Offer]:
    """The recipes whose lines alone say it, as those of `check` do. One for a part of the
    repository (a front end beside the application, some of its tests) is no better than a package
    beside it.
    """
    for name, recipe in _list_public(recipes):
        kind = _only_purpose(recipe.lines)
        if not kind or _kind_of_recipe(name) or not _runs_as_it_is(recipe, kind, recipes):
            continue
        source, fit = Source.TOLD_BY_LINES, 0
        if _is_of_a_part(recipe.lines, main):
            source, fit = Source.SIDE_PACKAGE, _AFTER_EVERY_NAME
        yield Offer(kind, _state_recipe(command, name, recipe), source, fit)


def _runs_as_it_is(recipe: Recipe, kind: str, recipes: Mapping[str, Recipe]) -> bool:
    """Neither it nor a recipe that it needs first asks for a variable that nothing sets, throws a
    database away, or, of a check, changes the files.
    """
    for one in (recipe, *_list_needed(recipe, recipes)):
        lines = "\n".join(one.lines)
        if one.unset or resets_database(lines):
            return False
        if kind != "build" and changes_files(lines):
            return False
    return True


def _list_needed(recipe: Recipe, recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """The recipes that run before it, and those before them."""
    found: dict[str, Recipe] = {}
    waiting = list(recipe.needs)
    while waiting:
        name = waiting.pop()
        if name in recipes and name not in found:
            found[name] = recipes[name]
            waiting += recipes[name].needs
    return list(found.values())


# How well a recipe fits beside scripts that have a name for it.
_AFTER_EVERY_NAME = 50


def _list_public(recipes: Mapping[str, Recipe]) -> Iterator[tuple[str, Recipe]]:
    """Those that do something, and that somebody may call."""
    for name, recipe in recipes.items():
        if not recipe.is_empty and not name.startswith((".", "_")):
            yield name, recipe


def _state_recipe(command: str, name: str, recipe: Recipe) -> CommandFact:
    return command_fact(f"{command}{name}", recipe.path, recipe.line, "\n".join(recipe.lines))


def _kind_of_recipe(name: str) -> tuple[str, int] | None:
    return _module_kind(name) or named_kind(name)


def _is_of_a_part(lines: Iterable[str], main: tuple[str, ...]) -> bool:
    """Whether no line is for the whole of the application."""
    beside = JAVASCRIPT.isdisjoint(main)
    for line in _list_work(lines):
        is_front_end = beside and runs_front_end(without_prefix(line))
        if not is_front_end and not is_partial(line):
            return False
    return True


def _module_kind(name: str) -> tuple[str, int] | None:
    """The recipes of a module that is named for a purpose, e.g. "test backend"."""
    module, _, recipe = name.partition(" ")
    plainest = ("all", "backend", "unit", "default")
    named = None
    if recipe in plainest:
        named = named_kind(module)
    if not named:
        return None
    return (named[0], plainest.index(recipe))


def _only_purpose(lines: Iterable[str]) -> str | None:
    """The one purpose of all lines of a recipe whose name says nothing; building takes a name."""
    kinds = {find_purpose(line) for line in _list_work(lines)}
    if len(kinds) == 1 and kinds <= {"lint", "typecheck", "test"}:
        return next(iter(kinds))
    return None


def _list_work(lines: Iterable[str]) -> list[str]:
    """The lines of a recipe that do something besides telling what they do."""
    return [line for line in lines if not re.match(r"@?(?:echo|printf|#)", line)]


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
    """A shell script that is named for a purpose, or a `check` that does nothing but check types
    first.
    """
    named = _kind_of_script(name)
    if named is None:
        return None
    text = text_of(tree, path) or ""
    runs = _list_lines_of_script(text)
    is_script = name.endswith("sh") or text.startswith("#!")
    if not runs or not is_script or unset_in_script(runs):
        return None
    kinds = {find_purpose(re.sub(r"^\$\{?\w+\}?", "", line)) for line in runs}
    if named[1] == _TOLD_BY_ITS_LINES and "typecheck" not in kinds:
        return None
    command = _start_script(tree, path, text)
    return Offer(named[0], command_fact(command, path, 1, "\n".join(runs)), Source.SCRIPT, named[1])


def _kind_of_script(name: str) -> tuple[str, int] | None:
    """(kind, fit) that a script's name says; a `check` may mean anything."""
    plain = _SCRIPT_NAME.fullmatch(name)
    if plain is None:
        return None
    named = named_kind(plain[1])
    if named is None and plain[1] == "check":
        return ("typecheck", _TOLD_BY_ITS_LINES)
    return named


def _start_script(tree: Tree, path: str, text: str) -> str:
    """The command that starts a script: by its shell where it may not be run itself."""
    if not os.access(tree.root / path, os.X_OK):
        shell = "sh"
        if "bash" in text.partition("\n")[0]:
            shell = "bash"
        return f"{shell} {path}"
    if "/" not in path:
        return f"./{path}"
    return path


# How well a script fits that is called `check`, which may mean anything.
_TOLD_BY_ITS_LINES = 9


def _list_lines_of_script(text: str) -> list[str]:
    """What it runs: neither comments nor empty lines."""
    runs = []
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            runs.append(line)
    return runs


def _hook_offers(tree: Tree) -> Iterator[Offer]:
    """What pre-commit or Trunk runs over all files."""
    path = ".pre-commit-config.yaml"
    text = text_of(tree, path) or ""
    hooks = list(_HOOK.finditer(text))
    ends = [hook.start() for hook in hooks[1:]]
    for hook, end in zip(hooks, [*ends, None], strict=False):
        if _TYPE_HOOKS.fullmatch(hook[1]):
            line = text.count("\n", 0, hook.start(1)) + 1
            runs = [hook[1]]
            for found in _HOOK_RUNS.finditer(text[hook.end() : end]):
                runs.append(found[1].strip())
            command = f"pre-commit run {hook[1]} --all-files"
            fact = command_fact(command, path, line, "\n".join(runs))
            yield Offer("typecheck", fact, Source.PRE_COMMIT)
        elif _LINT_HOOKS.search(hook[1]):
            runs = [one[1] for one in hooks]
            fact = command_fact("pre-commit run --all-files", path, 1, " ".join(runs))
            yield Offer("lint", fact, Source.PRE_COMMIT)
    yield from _trunk_offers(tree)


def _trunk_offers(tree: Tree) -> Iterator[Offer]:
    for path in (".trunk/trunk.yaml", ".trunk/trunk.yml"):
        if re.search(r"(?m)^lint:", text_of(tree, path) or ""):
            line = line_with(tree, path, "lint:")
            fact = command_fact("trunk check --all", path, line, "trunk check")
            yield Offer("lint", fact, Source.PRE_COMMIT)


def _note_offers(tree: Tree) -> Iterator[Offer]:
    """Commands in code spans and code blocks of the notes to agents."""
    for path in sorted(_NOTES.intersection(tree.files)):
        for number, code, folder in _list_code(text_of(tree, path) or ""):
            command = re.split(r"\s+#", code)[0].strip()
            kind = find_purpose(command)
            if kind and _is_whole_command(command):
                whole = command
                if folder not in ("", "."):
                    whole = f"cd {folder} && {command.removeprefix('$ ')}"
                yield Offer(kind, command_fact(whole, path, number, command), Source.NOTES)


def _list_code(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, code, the folder that the lines of its block have gone to) of each code span and each
    line of a code block.
    """
    is_block, folder = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_block, folder = not is_block, ""
        elif is_block:
            yield number, line.strip(), folder
            folder = moved_to(folder, line.strip().removeprefix("$ "))
        else:
            for code in re.findall(r"`([^`]+)`", line):
                yield number, code, ""


def _is_whole_command(command: str) -> bool:
    """Not only a program's name, and nothing that the reader is to fill in first."""
    if " " not in command or _PLACEHOLDER.search(command):
        return False
    return not is_partial(command) and not unset_variables(command)

"""Reads the scripts of every package.json: the main declaration of a JavaScript project, a lesser
one elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skillrun.repo.declared import command_fact, line_with, scripts_of
from skillrun.repo.languages import JAVASCRIPT, LANGUAGE_OF
from skillrun.repo.managers import javascript_manager
from skillrun.repo.offers import Offer, Source
from skillrun.repo.places import is_aside
from skillrun.repo.shell import commands_in, named_kind, unset_variables

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

# Where nothing is just called build.
_BUILDS = (
    "build:production",
    "build:prod",
    "production",
    "prod",
)
_CALLED = re.compile(r"(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?([\w:.-]+)(?:\s+--.*)?")
# Of its options npm sets those that have a default; any other is what somebody says: `--name=x`.
_SET_BY_NPM = re.compile(
    r"npm_(?!config_)|INIT_CWD$|NODE_OPTIONS$|NODE$"
    r"|npm_config_(?:cache|globalconfig|global_prefix|init_module|local_prefix|node_gyp|noproxy"
    r"|npm_version|prefix|registry|user_agent|userconfig)$"
)
_MANIFESTS = frozenset(
    {
        *("pyproject.toml", "setup.py", "requirements.txt", "package.json", "go.mod"),
        *("Cargo.toml", "pom.xml", "Gemfile", "composer.json", "mix.exs"),
    }
)
# Code at the top that is for tools: `eslint.config.js`, `.eslintrc.js`, `noxfile.py`.
_CONFIGURES = re.compile(r"^(?:[^/]*\bconfig\.\w+|\.[^/]+|noxfile\.py|setup\.py|tasks\.py)$")
# Scripts that call scripts.
_DEEP = 3
# How well a script fits whose name is no plain one.
_AFTER_EVERY_NAME = 50


def package_offers(tree: Tree, languages: tuple[str, ...]) -> Iterator[Offer]:
    """The scripts of a name that says a purpose. A package beside the application counts where it
    is no small one.
    """
    manager = javascript_manager(tree) or "npm"
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        if name != "package.json" or path.count("/") > 2 or is_aside(path):
            continue
        if folder and JAVASCRIPT.isdisjoint(languages):
            continue
        # The front end beside another language is built for the application.
        is_main = not JAVASCRIPT.isdisjoint(languages[:1])
        if is_main and is_beside(tree, folder, languages[:1]):
            continue
        yield from _script_offers(tree, path, folder, manager, languages)


def is_beside(tree: Tree, folder: str, main: tuple[str, ...]) -> bool:
    """Whether a folder is a package of its own beside the one at the top, to which more of the main
    language's sources belong.
    """
    packages = _find_packages(tree)
    if not folder or folder not in packages or "" not in packages:
        return False
    counts = Counter(_list_owners(tree, packages, main))
    return counts[""] > counts[folder]


def _find_packages(tree: Tree) -> set[str]:
    """The top, as "", and the folders directly below it, where a package is declared."""
    found = set()
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        if name in _MANIFESTS and "/" not in folder:
            found.add(folder)
    return found


def _list_owners(tree: Tree, packages: set[str], main: tuple[str, ...]) -> Iterator[str]:
    """For each source of the main language, the package that it belongs to."""
    for path in tree.files:
        if LANGUAGE_OF.get(path.rpartition(".")[2]) not in main:
            continue
        if is_aside(path) or _CONFIGURES.search(path):
            continue
        first = path.partition("/")[0]
        if first in packages:
            yield first
        else:
            yield ""


def _script_offers(
    tree: Tree, path: str, folder: str, manager: str, languages: tuple[str, ...]
) -> Iterator[Offer]:
    is_main = not JAVASCRIPT.isdisjoint(languages[:1])
    source = Source.SIDE_PACKAGE
    if is_main and not folder:
        source = Source.PACKAGE_JSON
    scripts = scripts_of(tree, path)
    for script in scripts:
        named = _kind_of_script(script)
        runs = _read_script_text(scripts, script)
        if named is None or not _runs_as_it_is(runs):
            continue
        if is_main or not folder or named[0] == "build":
            command = _spell_command(manager, folder, script)
            line = line_with(tree, path, f'"{script}"')
            yield Offer(named[0], command_fact(command, path, line, runs), source, named[1])


def _kind_of_script(script: str) -> tuple[str, int] | None:
    """(kind, fit) that a script's name says."""
    if script in _BUILDS:
        return ("build", _AFTER_EVERY_NAME + _BUILDS.index(script))
    return named_kind(script)


def _runs_as_it_is(runs: str) -> bool:
    """Whether a script does something, and needs no variable that npm does not set."""
    # `npm init` writes a test that says so where there is none.
    if not runs or "no test specified" in runs:
        return False
    return all(_SET_BY_NPM.match(name) for name in unset_variables(runs))


def _read_script_text(scripts: Mapping[str, Any], name: str, depth: int = _DEEP) -> str:
    """A script's text, and below it those of the scripts that it calls and of its hooks: npm runs
    `pretest` and `posttest` with `test`.
    """
    text = scripts.get(name)
    if not isinstance(text, str):
        return ""
    if not depth:
        return text
    below = [f"pre{name}", f"post{name}"]
    for part in commands_in(text):
        found = _CALLED.fullmatch(part)
        if found and found[1] != name:
            below.append(found[1])
    texts = [text]
    for other in below:
        texts.append(_read_script_text(scripts, other, depth - 1))
    return "\n".join(filter(None, texts))


def _spell_command(manager: str, folder: str, script: str) -> str:
    where = {"npm": "--prefix", "pnpm": "--dir", "yarn": "--cwd", "bun": "--cwd"}[manager]
    run = "run "
    if manager in ("yarn", "pnpm") or (manager == "npm" and script == "test"):
        run = ""
    if folder:
        return f"{manager} {where} {folder} {run}{script}"
    return f"{manager} {run}{script}"

"""The formatters that a repository names, as commands that take file names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from skillrun.skills.job_worker.scaffold.manner.configured import (
    Settings,
    option,
    read_text,
    within,
)

if TYPE_CHECKING:
    from skillrun.repo.manifests import Manifests
    from skillrun.repo.tree import Tree

_SORTERS = ("isort", "ruff check")
_COMMAND = re.compile(
    r"(?<![\w.-])(black|isort|yapf|autopep8|ruff\s+format|ruff\s+check|ruff)(?=\s)([^\n;&|#]*)"
)
_COMMAND_FILES = re.compile(
    r"(?i)(?:^|/)(?:makefile|gnumakefile|justfile|tox\.ini|noxfile\.py|tasks\.py|pipfile|pyproject\.toml|\.gitlab-ci\.ya?ml"
    r"|\.travis\.ya?ml|lefthook\.ya?ml|(?:format|lint|check|style|ci|test)[\w-]*\.sh|(?:scripts?|bin)/(?:format|lint|check|fmt)[\w-]*)$"
    r"|^\.github/workflows/[^/]+\.ya?ml$|^\.circleci/config\.yml$"
)
_HOOKS = {
    "black": "black",
    "black-jupyter": "black",
    "isort": "isort",
    "yapf": "yapf",
    "autopep8": "autopep8",
}
_HOOKS |= {"ruff-format": "ruff format", "ruff": "ruff check", "ruff-check": "ruff check"}
_RUNS = {
    "black": "black -q",
    "isort": "isort -q",
    "yapf": "yapf -i",
    "autopep8": "autopep8 -i",
    "ruff format": "ruff format -q",
    "ruff check": "ruff check -q --select I --fix",
}
_VALUES = re.compile(
    r"(?:-l|-t|-w|--line[-_]length|--line-width|--target-version|--profile|--py|--style|--max-line-length|--quote-style|-p|--project|-o|--sl)"
)
_FLAGS = re.compile(
    r"(?:-S|-C|--skip-string-normalization|--skip-magic-trailing-comma|--force-single-line|--preview|--sl|--fss)"
)


@dataclass(frozen=True)
class Named:
    """A formatter, the options it is given, and how plainly it was named.

    Plainness: 0 by a hook, 1 by a command, 2 by its configuration, 3 by a dependency alone.
    """

    tool: str
    plainness: int
    options: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()  # that ruff is told to select

    @property
    def command(self) -> str:
        return shlex.join([*_RUNS[self.tool].split(), *self.options])


def find_formatters(
    tree: Tree, settings: Settings, manifests: Manifests, handler_path: str
) -> tuple[Named, ...]:
    """One that sorts imports, then one that formats: of each kind the one that is named most
    plainly.
    """
    found = [
        *_hooks(tree, settings, handler_path),
        *_commands(tree, settings),
        *_otherwise(settings, manifests),
    ]
    found = [named for named in found if named.tool != "ruff check" or _sorts(settings, named)]
    sorter = min((n for n in found if n.tool in _SORTERS), key=lambda n: n.plainness, default=None)
    formatter = min(
        (n for n in found if n.tool not in _SORTERS), key=lambda n: n.plainness, default=None
    )
    formatters = []
    for named in (sorter, formatter):
        if named:
            formatters.append(named)
    return tuple(formatters)


def _sorts(settings: Settings, named: Named) -> bool:
    """ruff's rules take in those of isort."""
    table = settings.of("ruff")
    if isinstance(option(table, "lint"), Mapping):
        lint = option(table, "lint")
    else:
        lint = {}
    chosen = []
    for one in (lint, table):
        for key in ("select", "extend-select"):
            chosen.append(option(one, key))
    codes = [
        *named.rules,
        *(str(code) for part in chosen if isinstance(part, list) for code in part),
    ]
    return not {"I", "I0", "I00", "I001", "ALL"}.isdisjoint(codes)


# -- pre-commit


def _hooks(tree: Tree, settings: Settings, handler_path: str) -> Iterator[Named]:
    for folder in settings.folders:
        for name in (".pre-commit-config.yaml", ".pre-commit-config.yml"):
            config = _yaml(read_text(tree, within(folder, name)))
            for hook in _applying(config, handler_path[len(folder) :].lstrip("/")):
                given = hook.get("args")
                if isinstance(given, list):
                    words = [str(word) for word in given]
                else:
                    words = []
                yield from _of_hook(hook, words)


def _of_hook(hook: Mapping[str, Any], words: list[str]) -> Iterator[Named]:
    tool = _HOOKS.get(str(hook.get("id")))
    if (
        tool
        and "--check" not in words
        and (tool != "ruff check" or "--fix" in words or _rules(words))
    ):
        yield Named(tool, 0, _options(words), _rules(words))
    elif hook.get("entry"):
        for named in _written(" ".join([str(hook["entry"]), *words, ""])):
            yield replace(named, plainness=0)


def _applying(config: Any, path: str) -> Iterator[Mapping[str, Any]]:
    """The hooks whose `files` and `exclude` let this file through."""
    repos = None
    if isinstance(config, Mapping):
        repos = config.get("repos")
    if not isinstance(repos, list) or not _lets_through(config, path):
        return
    for repo in repos:
        hooks = None
        if isinstance(repo, Mapping):
            hooks = repo.get("hooks")
        if isinstance(hooks, list):
            for hook in hooks:
                if isinstance(hook, Mapping) and _lets_through(hook, path):
                    yield hook


def _lets_through(part: Mapping[str, Any], path: str) -> bool:
    try:
        wanted = re.search(str(part.get("files") or ""), path) is not None
        return wanted and not (part.get("exclude") and re.search(str(part["exclude"]), path))
    except re.error:
        return True


def _yaml(text: str) -> Any:
    if not text:
        return None
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


# -- commands, configuration, dependencies


def _commands(tree: Tree, settings: Settings) -> Iterator[Named]:
    folders = set(settings.folders)
    for path in tree.files:
        found = _COMMAND_FILES.search(path)
        if found and (path.startswith(".") or path[: found.start()] in folders):
            text = read_text(tree, path).replace("\\\n", " ")
            yield from _written(text.replace('", "', " ") if path.endswith("noxfile.py") else text)


def _written(text: str) -> Iterator[Named]:
    """The commands in a text, also those that only check."""
    for found in _COMMAND.finditer(text):
        before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if re.search(r"\b(install|add|uses|name|echo|description|deps|require)\b|#", before):
            continue
        tool = re.sub(r"\s+", " ", found[1])
        words = _words(found[2])
        if tool in _RUNS and _is_run(words):
            yield Named(tool, 1, _options(words), _rules(words))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _is_run(words: list[str]) -> bool:
    """Something is formatted or checked: "black . --check"; "black is used" names no file and no
    option.
    """
    if words[:1] in (["="], [":"]):
        return False
    return any(
        word.startswith(("-", ".", "$", "{")) or "/" in word or word.endswith("py")
        for word in words
    ) or (len(words) == 1 and words[0].isidentifier())


def _options(words: list[str]) -> tuple[str, ...]:
    """The options that shape the result; those that say what to check, or how to report, are left
    out.
    """
    kept: list[str] = []
    for word, following in pairwise([*words, ""]):
        name, given, _ = word.partition("=")
        if (
            _FLAGS.fullmatch(word)
            or (given and _VALUES.fullmatch(name))
            or re.fullmatch(r"-[lw]\d+", word)
        ):
            kept.append(word)
        elif _VALUES.fullmatch(word) and re.fullmatch(r"[\w.,-]+", following):
            kept += [word, following]
    return tuple(kept)


def _rules(words: list[str]) -> tuple[str, ...]:
    """The rules that `--select` or `--extend-select` name."""
    pairs = pairwise([*" ".join(words).replace("=", " ").split(), ""])
    return tuple(
        r
        for name, value in pairs
        if name in ("--select", "--extend-select")
        for r in value.split(",")
    )


def _otherwise(settings: Settings, manifests: Manifests) -> Iterator[Named]:
    """A table in the configuration; or only a dependency, which of ruff does not say that it
    formats.
    """
    if settings.ruff_formats:
        yield Named("ruff format", 2)
    if settings.has("ruff"):
        yield Named("ruff check", 2)
    for tool in ("black", "isort", "yapf", "autopep8"):
        if settings.has(tool):
            yield Named(tool, 2)
        elif manifests.find(tool):
            yield Named(tool, 3)

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
# `black -l 100 shop` up to the end of the command, and not `flake8-black` or `python-isort`.
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
# Options that shape the result and take a value; then those that take none.
_VALUES = re.compile(
    r"(?:-l|-t|-w|--line[-_]length|--line-width|--target-version|--profile|--py|--style|--max-line-length|--quote-style|-p|--project|-o|--sl)"
)
_FLAGS = re.compile(
    r"(?:-S|-C|--skip-string-normalization|--skip-magic-trailing-comma|--force-single-line|--preview|--sl|--fss)"
)


# How plainly a formatter is named: the smaller, the more it counts.
_BY_HOOK, _BY_COMMAND, _BY_CONFIGURATION, _BY_DEPENDENCY = range(4)


@dataclass(frozen=True)
class Named:
    """A formatter, the options it is given, and how plainly it was named."""

    tool: str
    plainness: int  # _BY_HOOK to _BY_DEPENDENCY
    options: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()  # that ruff is told to select

    @property
    def command(self) -> str:
        """The command that formats; the names of files are added to it."""
        return shlex.join([*_RUNS[self.tool].split(), *self.options])


def find_formatters(
    tree: Tree, settings: Settings, manifests: Manifests, handler_path: str
) -> tuple[Named, ...]:
    """One that sorts imports, then one that formats: of each kind the one that is named most
    plainly.
    """
    sorters, formatters = [], []
    for named in (
        *_find_hooks(tree, settings, handler_path),
        *_find_commands(tree, settings),
        *_find_configured(settings, manifests),
    ):
        if named.tool not in _SORTERS:
            formatters.append(named)
        elif named.tool != "ruff check" or _sorts_imports(settings, named):
            sorters.append(named)
    chosen = []
    for kind in (sorters, formatters):
        if kind:
            # Of those that are named as plainly, the first.
            chosen.append(min(kind, key=lambda named: named.plainness))
    return tuple(chosen)


def _sorts_imports(settings: Settings, named: Named) -> bool:
    """Whether the rules that ruff is told to select take in those of isort."""
    codes = [*named.rules]
    table = settings.of("ruff")
    # `lint` is a table of its own since ruff 0.2.
    for part in (option(table, "lint"), table):
        for key in ("select", "extend-select"):
            selected = option(part, key)
            if isinstance(selected, list):
                codes += map(str, selected)
    return not {"I", "I0", "I00", "I001", "ALL"}.isdisjoint(codes)


# -- pre-commit


def _find_hooks(tree: Tree, settings: Settings, handler_path: str) -> Iterator[Named]:
    """The formatters that pre-commit runs on the handler's file."""
    for folder in settings.folders:
        for name in (".pre-commit-config.yaml", ".pre-commit-config.yml"):
            config = _read_yaml(read_text(tree, within(folder, name)))
            for hook in _list_applying(config, handler_path[len(folder) :].lstrip("/")):
                words = []
                if isinstance(hook.get("args"), list):
                    words = [str(word) for word in hook["args"]]
                yield from _read_hook(hook, words)


def _read_hook(hook: Mapping[str, Any], words: list[str]) -> Iterator[Named]:
    """The formatter that a hook runs: a well-known one by its id, any other by its `entry`."""
    tool = _HOOKS.get(str(hook.get("id")))
    is_formatter = tool is not None and "--check" not in words
    if tool == "ruff check" and "--fix" not in words and not _read_rules(words):
        is_formatter = False
    if tool is not None and is_formatter:
        yield Named(tool, _BY_HOOK, _read_options(words), _read_rules(words))
    elif hook.get("entry"):
        for named in _read_commands(" ".join([str(hook["entry"]), *words, ""])):
            yield replace(named, plainness=_BY_HOOK)


def _list_applying(config: Any, path: str) -> Iterator[Mapping[str, Any]]:
    """The hooks whose `files` and `exclude` let this file through. Anything may stand in such a
    file.
    """
    if not isinstance(config, Mapping):
        return
    repos = config.get("repos")
    if not isinstance(repos, list) or not _lets_through(config, path):
        return
    for repo in repos:
        hooks = None
        if isinstance(repo, Mapping):
            hooks = repo.get("hooks")
        if not isinstance(hooks, list):
            continue
        for hook in hooks:
            if isinstance(hook, Mapping) and _lets_through(hook, path):
                yield hook


def _lets_through(part: Mapping[str, Any], path: str) -> bool:
    """Whether `files` and `exclude` of a hook, or of the whole file, let a path through."""
    try:
        if re.search(str(part.get("files") or ""), path) is None:
            return False
        return not (part.get("exclude") and re.search(str(part["exclude"]), path))
    except re.error:
        return True


def _read_yaml(text: str) -> Any:
    """What a YAML file holds; None where it is empty or broken."""
    if not text:
        return None
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


# -- commands, configuration, dependencies


def _find_commands(tree: Tree, settings: Settings) -> Iterator[Named]:
    """The formatters that Makefiles, scripts and CI run, of the handler's folders and those above
    it.
    """
    folders = set(settings.folders)
    for path in tree.files:
        name = _COMMAND_FILES.search(path)
        if name is None:
            continue
        if not path.startswith(".") and path[: name.start()] not in folders:
            continue
        text = read_text(tree, path).replace("\\\n", " ")
        # session.run("black", "-l", "100", ...)
        if path.endswith("noxfile.py"):
            text = text.replace('", "', " ")
        yield from _read_commands(text)


def _read_commands(text: str) -> Iterator[Named]:
    """The formatters that the commands in a text run, also those that only check."""
    for command in _COMMAND.finditer(text):
        before = text[text.rfind("\n", 0, command.start()) + 1 : command.start()]
        # `pip install black`, `name: black`, and what a comment says, run nothing.
        if re.search(r"\b(install|add|uses|name|echo|description|deps|require)\b|#", before):
            continue
        tool = re.sub(r"\s+", " ", command[1])
        words = _split_words(command[2])
        if tool in _RUNS and _is_run(words):
            yield Named(tool, _BY_COMMAND, _read_options(words), _read_rules(words))


def _split_words(text: str) -> list[str]:
    """The words of a command line, also where its quotes are not closed."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _is_run(words: list[str]) -> bool:
    """Whether something is formatted or checked: "black . --check". "black is used" names no file
    and no option.
    """
    if words[:1] in (["="], [":"]):
        return False
    for word in words:
        if word.startswith(("-", ".", "$", "{")) or "/" in word or word.endswith("py"):
            return True
    # `black shop`
    return len(words) == 1 and words[0].isidentifier()


def _read_options(words: list[str]) -> tuple[str, ...]:
    """The options that shape the result; those that say what to check, or how to report, are left
    out.
    """
    options: list[str] = []
    for word, following in pairwise([*words, ""]):
        name, equals, _ = word.partition("=")
        has_value_within = (equals and _VALUES.fullmatch(name)) or re.fullmatch(r"-[lw]\d+", word)
        if has_value_within or _FLAGS.fullmatch(word):
            options.append(word)
        elif _VALUES.fullmatch(word) and re.fullmatch(r"[\w.,-]+", following):
            options += [word, following]
    return tuple(options)


def _read_rules(words: list[str]) -> tuple[str, ...]:
    """The rules that `--select` or `--extend-select` name."""
    rules: list[str] = []
    for name, value in pairwise([*" ".join(words).replace("=", " ").split(), ""]):
        if name in ("--select", "--extend-select"):
            rules += value.split(",")
    return tuple(rules)


def _find_configured(settings: Settings, manifests: Manifests) -> Iterator[Named]:
    """The formatters that have a table in the configuration, or are a dependency; for ruff that
    does not say that it formats.
    """
    if settings.ruff_formats:
        yield Named("ruff format", _BY_CONFIGURATION)
    if settings.has("ruff"):
        yield Named("ruff check", _BY_CONFIGURATION)
    for tool in ("black", "isort", "yapf", "autopep8"):
        if settings.has(tool):
            yield Named(tool, _BY_CONFIGURATION)
        elif manifests.find(tool):
            yield Named(tool, _BY_DEPENDENCY)

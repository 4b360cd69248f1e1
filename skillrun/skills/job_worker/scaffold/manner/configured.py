"""What a repository's configuration says of style: line length, quotes, indentation. It wins over
what the files do.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from skillrun.core.opening import parse_toml
from skillrun.repo.tree import SEARCH_LIMIT

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

# Where each tool says how long a line may be. Tools that format come before those that check.
_LENGTHS = (
    ("black", "line-length"),
    ("ruff", "line-length"),
    ("yapf", "column_limit"),
    ("flake8", "max-line-length"),
    ("pycodestyle", "max-line-length"),
    ("autopep8", "max_line_length"),
    ("isort", "line_length"),
    ("pylint", "max-line-length"),
    ("editorconfig", "max_line_length"),
)


# What else of a number is no length of a line, and no width of an indentation.
_SHORTEST_LINE, _LONGEST_LINE = 40, 400
_WIDEST_INDENT = 8
_BLACKS_LENGTH = 88
_INI_FILES = (
    "setup.cfg",
    "tox.ini",
    ".flake8",
    ".isort.cfg",
    ".style.yapf",
    ".pycodestyle",
    ".pylintrc",
    "pytest.ini",
)
# Files that are about one tool, whatever their sections are called.
_FILES_OF_ONE_TOOL = {".pylintrc": "pylint", ".style.yapf": "yapf", ".isort.cfg": "isort"}


@dataclass(frozen=True)
class Settings:
    """The tables of the tools that have something to say, the nearest file's first: ("black",
    {...}).
    """

    tables: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    folders: tuple[str, ...] = field(default=("",))  # of the handler and above, the nearest first

    def of(self, tool: str) -> Mapping[str, Any]:
        """The nearest table of a tool; empty where there is none."""
        for name, table in self.tables:
            if name == tool:
                return table
        return {}

    def has(self, tool: str) -> bool:
        """Whether any file configures the tool."""
        return any(name == tool for name, _ in self.tables)

    def listed(self, key: str) -> tuple[str, ...]:
        """An option of pytest that names files, folders or globs: `testpaths`, `python_files`."""
        pytest = self.of("pytest")
        for table in (pytest, option(pytest, "ini_options")):
            names = option(table, key)
            if not names:
                continue
            if isinstance(names, list):
                return tuple(map(str, names))
            return tuple(str(names).split())
        return ()

    @property
    def line_length(self) -> int | None:
        """How long a line may be, by the first tool that says so; None where none does."""
        for tool, _ in _LENGTHS:
            length = self.length_for(tool)
            if length:
                return length
        if self.has("black") or self.ruff_formats:
            return _BLACKS_LENGTH
        return None

    def length_for(self, tool: str) -> int | None:
        """How long a line may be for one tool; "ruff format" is told as ruff."""
        name = tool.partition(" ")[0]
        value = str(option(self.of(name), dict(_LENGTHS)[name]) or "")
        if value.isdecimal() and _SHORTEST_LINE <= int(value) <= _LONGEST_LINE:
            return int(value)
        return None

    @property
    def ruff_formats(self) -> bool:
        """Whether ruff has a table for its formatter."""
        return isinstance(option(self.of("ruff"), "format"), Mapping)

    @property
    def quote(self) -> str | None:
        """The quote that a formatter or a check wants; None where they leave it open."""
        wanted = (
            option(self._ruff_format, "quote-style")
            or option(self._ruff_rule("flake8-quotes"), "inline-quotes")
            or option(self.of("flake8"), "inline-quotes")
        )
        return {"single": "'", "'": "'", "double": '"', '"': '"'}.get(str(wanted))

    @property
    def keeps_quotes(self) -> bool:
        """Whether the formatter is told to leave quotes alone."""
        if option(self.of("black"), "skip-string-normalization"):
            return True
        return bool(option(self._ruff_format, "quote-style") == "preserve")

    @property
    def indent(self) -> str | None:
        """What a formatter or the editor is told to indent with."""
        editor = self.of("editorconfig")
        if option(self._ruff_format, "indent-style") == "tab":
            return "\t"
        if editor.get("indent_style") == "tab":
            return "\t"
        width = str(option(self.of("ruff"), "indent-width") or editor.get("indent_size", ""))
        if width.isdecimal() and 1 <= int(width) <= _WIDEST_INDENT:
            return " " * int(width)
        return None

    @property
    def absolute_imports(self) -> bool | None:
        """True where ruff bans relative imports; None where it does not say."""
        table = self._ruff_rule("flake8-tidy-imports")
        if option(table, "ban-relative-imports") == "all":
            return True
        return None

    @property
    def _ruff_format(self) -> Any:
        """What ruff's formatter is told."""
        return option(self.of("ruff"), "format") or {}

    def _ruff_rule(self, name: str) -> Mapping[str, Any]:
        """The table of a group of ruff's rules, which stood beside `lint` in its older versions."""
        ruff = self.of("ruff")
        return _nested_table(ruff, "lint", name) or _nested_table(ruff, name)


def option(table: Any, key: str) -> Any:
    """A value under its name with dashes or with underscores; None where it is not there."""
    if not isinstance(table, Mapping):
        return None
    for name in (key, key.replace("-", "_"), key.replace("_", "-")):
        if name in table:
            return table[name]
    return None


def _nested_table(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The table within others under these keys; empty where there is none."""
    for key in keys:
        table = option(table, key) or {}
    if not isinstance(table, Mapping):
        return {}
    return table


def read_settings(tree: Tree, handler_path: str) -> Settings:
    """The configuration files beside the handler and in the folders above it. A broken one says
    nothing.
    """
    folders = above(handler_path)
    tables: list[tuple[str, Mapping[str, Any]]] = []
    for folder in folders:
        tables += _read_tables(tree, folder, handler_path)
    return Settings(tuple(tables), folders)


def above(path: str) -> tuple[str, ...]:
    """The folders of a file, the nearest first; "" is the repository's own."""
    parts = path.split("/")[:-1]
    return tuple("/".join(parts[:depth]) for depth in range(len(parts), -1, -1))


def within(folder: str, name: str) -> str:
    """The path of a name in a folder; "" is the repository's own."""
    if folder:
        return f"{folder}/{name}"
    return name


def read_text(tree: Tree, path: str) -> str:
    """The text of a listed file; not recorded as a look-up.

    "" where there is none, and for what is too large to be written by people.
    """
    data = None
    if tree.size(path) <= SEARCH_LIMIT:
        data = tree.peek(path)
    return (data or b"").decode("utf-8", "replace")


def read_toml(tree: Tree, path: str) -> dict[str, Any]:
    """A TOML file; empty where it is missing or broken."""
    try:
        return parse_toml(read_text(tree, path))
    except ValueError:
        return {}


def read_ini(tree: Tree, path: str) -> dict[str, dict[str, str]]:
    """The sections of an ini file; empty where it is missing or broken."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(read_text(tree, path))
    except (configparser.Error, ValueError):
        return {}
    sections = {}
    for name in parser.sections():
        # A key without `=` has no value.
        sections[name] = {key: value or "" for key, value in parser.items(name)}
    return sections


def _read_tables(
    tree: Tree, folder: str, handler_path: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(tool, its table) for each tool that a file in this folder configures."""
    for name in (".ruff.toml", "ruff.toml"):
        ruff = read_toml(tree, within(folder, name))
        if ruff:
            yield "ruff", ruff
    tools = read_toml(tree, within(folder, "pyproject.toml")).get("tool", {})
    for tool, table in tools.items():
        if isinstance(table, Mapping):
            yield tool, table
    for name in _INI_FILES:
        for section, values in read_ini(tree, within(folder, name)).items():
            yield _find_tool(name, section), values
    editor = _read_editorconfig(read_text(tree, within(folder, ".editorconfig")), handler_path)
    if editor:
        yield "editorconfig", editor


def _find_tool(name: str, section: str) -> str:
    """The tool that a section of an ini file is about: `pytest` for `[tool:pytest]`."""
    if name in _FILES_OF_ONE_TOOL:
        return _FILES_OF_ONE_TOOL[name]
    return section.lower().removeprefix("tool:").removeprefix("pylint.")


def _read_editorconfig(text: str, path: str) -> dict[str, str]:
    """What all sections that match a Python file say together; a later one overrides an earlier."""
    settings: dict[str, str] = {}
    matching = False
    for line in text.splitlines():
        header = re.fullmatch(r"\s*\[(.+)\]\s*", line)
        pair = re.match(r"\s*(\w+)\s*[=:]\s*([^\s#;]+)", line)
        if header:
            matching = any(_matches(path, glob) for glob in _list_alternatives(header[1]))
        elif matching and pair:
            settings[pair[1].lower()] = pair[2].lower()
    return settings


def _list_alternatives(glob: str) -> list[str]:
    """The globs that one with braces stands for: "*.py" and "*.js" for "*.{py,js}"."""
    braces = re.search(r"\{([^{}]*)\}", glob)
    if braces is None:
        return [glob]
    before, after = glob[: braces.start()], glob[braces.end() :]
    return [before + word.strip() + after for word in braces[1].split(",")]


def _matches(path: str, glob: str) -> bool:
    """Whether a glob of an .editorconfig matches a path, or its file's name."""
    return fnmatch(path, glob.lstrip("/")) or fnmatch(path.rpartition("/")[2], glob)

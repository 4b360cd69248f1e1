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
        """An option of pytest that names files, folders or globs."""
        for table in (self.of("pytest"), option(self.of("pytest"), "ini_options")):
            said = option(table, key)
            if said:
                if isinstance(said, list):
                    return tuple(map(str, said))
                return tuple(str(said).split())
        return ()

    @property
    def line_length(self) -> int | None:
        """As the first tool says that formats, then those that check."""
        said = (length for tool, _ in _LENGTHS if (length := self.length_for(tool)))
        return next(said, 88 if self.has("black") or self.ruff_formats else None)

    def length_for(self, tool: str) -> int | None:
        """As one tool is told; "ruff format" is ruff."""
        name = tool.partition(" ")[0]
        value = str(option(self.of(name), dict(_LENGTHS)[name]) or "")
        if value.isdecimal() and 40 <= int(value) <= 400:
            return int(value)
        return None

    @property
    def ruff_formats(self) -> bool:
        return isinstance(option(self.of("ruff"), "format"), Mapping)

    @property
    def quote(self) -> str | None:
        """The quote that a formatter or a check wants; None where they leave it open."""
        ruff = option(self.of("ruff"), "format") or {}
        lint = _part(self.of("ruff"), "lint", "flake8-quotes") or _part(
            self.of("ruff"), "flake8-quotes"
        )
        wanted = (
            option(ruff, "quote-style")
            or option(lint, "inline-quotes")
            or option(self.of("flake8"), "inline-quotes")
        )
        return {"single": "'", "'": "'", "double": '"', '"': '"'}.get(str(wanted))

    @property
    def keeps_quotes(self) -> bool:
        """The formatter is told to leave quotes alone."""
        kept = option(self.of("black"), "skip-string-normalization")
        return (
            bool(kept)
            or option(option(self.of("ruff"), "format") or {}, "quote-style") == "preserve"
        )

    @property
    def indent(self) -> str | None:
        """What a formatter or the editor is told to indent with."""
        ruff = self.of("ruff")
        if option(option(ruff, "format") or {}, "indent-style") == "tab":
            return "\t"
        editor = self.of("editorconfig")
        if editor.get("indent_style") == "tab":
            return "\t"
        width = str(option(ruff, "indent-width") or editor.get("indent_size", ""))
        if width.isdecimal() and 1 <= int(width) <= 8:
            return " " * int(width)
        return None

    @property
    def absolute_imports(self) -> bool | None:
        """ruff's ban of relative imports."""
        table = _part(self.of("ruff"), "lint", "flake8-tidy-imports") or _part(
            self.of("ruff"), "flake8-tidy-imports"
        )
        if option(table, "ban-relative-imports") == "all":
            return True
        return None


def option(table: Any, key: str) -> Any:
    """A value under its name with dashes or with underscores; None where it is not there."""
    if not isinstance(table, Mapping):
        return None
    for name in (key, key.replace("-", "_"), key.replace("_", "-")):
        if name in table:
            return table[name]
    return None


def _part(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
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
    return Settings(
        tuple(t for folder in folders for t in _tables(tree, folder, handler_path)), folders
    )


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
    return {
        name: {key: value or "" for key, value in parser.items(name)} for name in parser.sections()
    }


def _tables(tree: Tree, folder: str, handler_path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in (".ruff.toml", "ruff.toml"):
        if table := read_toml(tree, within(folder, name)):
            yield "ruff", table
    tools = read_toml(tree, within(folder, "pyproject.toml")).get("tool", {})
    yield from ((name, table) for name, table in tools.items() if isinstance(table, Mapping))
    for name in (
        "setup.cfg",
        "tox.ini",
        ".flake8",
        ".isort.cfg",
        ".style.yapf",
        ".pycodestyle",
        ".pylintrc",
        "pytest.ini",
    ):
        for section, values in read_ini(tree, within(folder, name)).items():
            yield _tool_of(name, section), values
    if editor := _editorconfig(read_text(tree, within(folder, ".editorconfig")), handler_path):
        yield "editorconfig", editor


def _tool_of(name: str, section: str) -> str:
    section = section.lower()
    if name == ".pylintrc":
        return "pylint"
    if name == ".style.yapf":
        return "yapf"
    if name == ".isort.cfg":
        return "isort"
    return section.removeprefix("tool:").removeprefix("pylint.")


def _editorconfig(text: str, path: str) -> dict[str, str]:
    """What the sections that match a Python file say together, later ones first."""
    found: dict[str, str] = {}
    matching = False
    for line in text.splitlines():
        header = re.fullmatch(r"\s*\[(.+)\]\s*", line)
        pair = re.match(r"\s*(\w+)\s*[=:]\s*([^\s#;]+)", line)
        if header:
            matching = any(_matches(path, glob) for glob in _alternatives(header[1]))
        elif matching and pair:
            found[pair[1].lower()] = pair[2].lower()
    return found


def _alternatives(glob: str) -> list[str]:
    """ "*.{py,js}" as "*.py" and "*.js"."""
    found = re.search(r"\{([^{}]*)\}", glob)
    if found:
        alternatives = []
        for one in found[1].split(","):
            alternatives.append(glob[: found.start()] + one.strip() + glob[found.end() :])
        return alternatives
    return [glob]


def _matches(path: str, glob: str) -> bool:
    return fnmatch(path, glob.lstrip("/")) or fnmatch(path.rpartition("/")[2], glob)

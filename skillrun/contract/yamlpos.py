"""Reads YAML safely and remembers the line of every value.

Only JSON values come out: mappings with text keys, lists, text, numbers, booleans, null. There are
limits against documents that are small to write and huge to read: size, depth, and the number of
nodes after every alias is expanded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from skillrun.contract.positions import MAX_DEPTH, MAX_NODES, Document, Path, YamlProblem

MAX_BYTES = 1_000_000

_TAG = "tag:yaml.org,2002:"
_SURROGATE = re.compile("[\ud800-\udfff]")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_PLAIN_BOOLEANS = {"true", "True", "TRUE", "false", "False", "FALSE"}


def load_positions(text: str, filename: str = "") -> Document:
    """Reads one YAML document, or one JSON document where the file name ends in `.json`. Raises
    `YamlProblem`.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise YamlProblem(1, "larger than 1 MB", "shorten it")
    text = text.removeprefix("\ufeff")
    if filename.endswith(".json"):
        from skillrun.contract.jsonpos import load_json

        document = load_json(text)
    else:
        document = _load_yaml(text)
    _refuse_surrogates(document, document.value, ())
    return document


def _refuse_surrogates(document: Document, value: Any, path: Path) -> None:
    """An escape such as \\ud800 is half a character: it can be printed, hashed and stored by
    nobody.
    """
    if isinstance(value, str) and _SURROGATE.search(value):
        raise YamlProblem(
            document.line(path), "half a character (a lone surrogate)", "write the character itself"
        )
    if isinstance(value, dict):
        for key, member in value.items():
            _refuse_surrogates(document, key, (*path, key))
            _refuse_surrogates(document, member, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_surrogates(document, item, (*path, index))


def _with_pairs_joined(text: str) -> str:
    """YAML reads the two halves of a character that JSON wrote as escapes one by one."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _load_yaml(text: str) -> Document:
    try:
        loader = _BoundedLoader(text)
        try:
            root = loader.get_single_node()
            return _Reader(loader).read(root)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        raise _unreadable_character(error, text) from error
    except yaml.MarkedYAMLError as error:
        raise _syntax_problem(error, text) from error
    except RecursionError as error:
        raise YamlProblem(1, f"nested deeper than {MAX_DEPTH} levels", "flatten it") from error


class _BoundedLoader(yaml.SafeLoader):
    """A safe loader that stops at the first node beyond the limits, before it has built
    anything.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._expanded = 0
        # Id of a node -> how many nodes it stands for.
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._sizes:
                raise YamlProblem(line, "an alias that contains itself", "write the value out")
            self._count(self._sizes[id(node)], line)
            return node
        return self._compose_counted(parent, index, line)

    def _compose_counted(self, parent: Node | None, index: int, line: int) -> Node | None:
        if self._depth >= MAX_DEPTH:
            raise YamlProblem(line, f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        before = self._expanded
        self._count(1, line)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._sizes[id(node)] = self._expanded - before
        return node

    def _count(self, nodes: int, line: int) -> None:
        self._expanded += nodes
        if self._expanded > MAX_NODES:
            raise YamlProblem(
                line,
                f"more than {MAX_NODES:,} values once its aliases are expanded",
                "write less, or fewer aliases",
            )


class _Reader:
    """Turns nodes into values and collects lines and traps on the way."""

    def __init__(self, loader: _BoundedLoader) -> None:
        self._loader = loader
        self._lines: dict[Path, int] = {}
        self._traps: dict[Path, str] = {}
        self._source: dict[Path, str] = {}

    def read(self, root: Node | None) -> Document:
        if root is None:
            return Document(None, {(): 1})
        self._lines[()] = _line(root)
        value = self._value(root, ())
        return Document(value, self._lines, self._traps, self._source)

    def _value(self, node: Node, path: Path) -> Any:
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return self._sequence(node, path)
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        _only_tag(node, "map")
        result: dict[str, Any] = {}
        for key_node, value_node in self._members(node, path):
            key = str(key_node.value)
            here = (*path, key)
            self._lines[here] = _line(key_node)
            result[key] = self._value(value_node, here)
        return result

    def _members(self, node: MappingNode, path: Path) -> Iterator[tuple[ScalarNode, Node]]:
        """The members of a mapping, those of a merge (`<<: *defaults`) last, and only where they
        add something.
        """
        seen: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged.append(value_node)
                continue
            key = self._key(key_node)
            if key in seen:
                raise YamlProblem(
                    _line(key_node),
                    f"the key {key!r} is given twice, first in line {seen[key]}",
                    "keep one of them",
                )
            seen[key] = _line(key_node)
            yield key_node, value_node
        for key_node, value_node in self._merged_members(merged):
            if key_node.value not in seen:
                seen[key_node.value] = _line(key_node)
                yield key_node, value_node

    def _merged_members(self, merged: list[Node]) -> Iterator[tuple[ScalarNode, Node]]:
        for value_node in merged:
            for source in (
                value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            ):
                if not isinstance(source, MappingNode):
                    raise YamlProblem(
                        _line(source), "`<<` merges something that is no mapping", "merge a mapping"
                    )
                yield from self._members(source, ())

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise YamlProblem(
                _line(node), "a key must be text", "a value that starts with { or [ must be quoted"
            )
        if node.tag != f"{_TAG}str":
            read = node.tag.removeprefix(_TAG)
            raise YamlProblem(
                _line(node),
                f"the key {node.value} is read as {read}, not as text",
                f'quote it: "{node.value}"',
            )
        return str(node.value)

    def _sequence(self, node: SequenceNode, path: Path) -> list[Any]:
        _only_tag(node, "seq")
        result = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self._lines[here] = _line(item)
            result.append(self._value(item, here))
        return result

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        self._source[path] = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return _with_pairs_joined(str(node.value))
        if kind == "timestamp" and node.style is None:
            self._traps[path] = f'YAML reads {node.value} as a date; quote it: "{node.value}"'
            return str(node.value)
        if kind not in ("int", "float", "bool", "null"):
            raise YamlProblem(
                _line(node),
                f"the tag {visible_tag(node.tag)} is not allowed",
                "write plain text, numbers, lists and mappings",
            )
        return self._plain(node, kind, path)

    def _plain(self, node: ScalarNode, kind: str, path: Path) -> Any:
        try:
            value = self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            raise YamlProblem(
                _line(node), f"{node.value[:40]!r} is no number that can be read", "quote it"
            ) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise YamlProblem(
                _line(node),
                f"{node.value} is not a number that JSON knows",
                "write a finite number, or quote it",
            )
        if kind in ("int", "float") and _SEXAGESIMAL.fullmatch(node.value):
            self._traps[path] = (
                f'YAML reads {node.value} as the base-60 number {value}; quote it: "{node.value}"'
            )
        if kind == "bool" and node.value not in _PLAIN_BOOLEANS:
            word = str(value).lower()
            self._traps[path] = (
                f'YAML reads {node.value} as {word}; write {word}, or quote it: "{node.value}"'
            )
        return value


def visible_tag(tag: str) -> str:
    """A tag as it was written: `!!python/name:os.system`."""
    return tag.replace(_TAG, "!!")[:80]


def _only_tag(node: Node, kind: str) -> None:
    if node.tag != _TAG + kind:
        raise YamlProblem(
            _line(node),
            f"the tag {visible_tag(node.tag)} is not allowed",
            "write plain text, numbers, lists and mappings",
        )


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _unreadable_character(error: yaml.reader.ReaderError, text: str) -> YamlProblem:
    line = text.count("\n", 0, int(error.position)) + 1
    if isinstance(error.character, int):
        code = error.character
    else:
        code = ord(str(error.character)[:1] or "\0")
    return YamlProblem(
        line,
        f"the character U+{code:04X} is not allowed",
        'write it as an escape in double quotes, e.g. "\\u0007"',
    )


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> YamlProblem:
    mark = error.problem_mark or error.context_mark
    line = 1
    if mark:
        line = mark.line + 1
    lines = text.splitlines()
    shown = ""
    if line <= len(lines):
        shown = lines[line - 1]
    # The parser often notices only at the next token that the line before went wrong.
    opened = ""
    if error.context_mark and error.context_mark.line < len(lines):
        opened = lines[error.context_mark.line]
    what = " ".join(str(error.problem or error.context or "not YAML").split())
    return YamlProblem(line, what, _syntax_hint(what, str(error.context or ""), shown, opened))


def _syntax_hint(what: str, context: str, shown: str, opened: str) -> str:
    """What to do about a syntax error, for the mistakes that people really make."""
    if "alias" in what or "alias" in context:
        return 'a value that starts with * must be quoted, as in schedule: "*/5 * * * *"'
    if "'\\t'" in what or "\t" in shown[: len(shown) - len(shown.lstrip())]:
        return "indent with spaces; YAML does not allow tabs"
    if "cannot start any token" in what or "anchor" in context or "directive" in context:
        return "a value that starts with @, %, & or a backtick must be quoted"
    if "mapping values are not allowed" in what:
        return (
            "a value that contains a colon and a space must be quoted; else check the indentation"
        )
    if re.search(r":\s*\{[A-Za-z_]+\}", shown + "\n" + opened):
        return 'a value that starts with { must be quoted, as in "{scratch}/app.db"'
    if "another document" in what:
        return "keep one document; remove the second ---"
    if "quoted scalar" in context:
        return "close the quotation mark"
    return "check the indentation and the quotes around this line"

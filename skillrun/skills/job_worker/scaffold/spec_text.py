"""More keys in a mapping that a spec's text holds already: its comments and its layout stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml


def has_part(text: str, part: str) -> bool:
    """Whether a spec has the part, as a mapping."""
    return isinstance(_value(yaml.compose(text), part), yaml.MappingNode)


def completed_within(text: str, part: str, more: Mapping[str, Any]) -> str:
    """The text with these keys added at the end of `part`; of a mapping that is there too, its keys
    are added to it.
    """
    for key, value in more.items():
        node = _value(yaml.compose(text), part)
        assert isinstance(node, yaml.MappingNode)
        inner = _value(node, key)
        if isinstance(inner, yaml.MappingNode) and isinstance(value, Mapping):
            for name, one in value.items():
                node = _value(_value(yaml.compose(text), part), key)
                assert isinstance(node, yaml.MappingNode)
                text = _with(text, node, name, one)
        else:
            text = _with(text, node, key, value)
    return text


def block(key: str, value: Any) -> str:
    """A key and its value as lines of YAML; what holds no collection stands on one line."""
    if isinstance(value, Mapping | list):
        style = None
    else:
        style = False
    return yaml.safe_dump(
        {key: value}, sort_keys=False, allow_unicode=True, width=110, default_flow_style=style
    )


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    inner: yaml.Node
    for name, inner in node.value:
        if name.value == key:
            return inner
    return None


def _with(text: str, node: yaml.MappingNode, key: str, value: Any) -> str:
    """Behind the last value of the mapping."""
    if not node.value:
        return (
            f"{text[: node.start_mark.index]}{{{_flow(key, value)}}}{text[node.end_mark.index :]}"
        )
    first, last = node.value[0][0], node.value[-1][1]
    if not node.flow_style:
        end = _line_end(text, last.end_mark.index)
        dumped = block(key, value)
        lines = "".join(f"{' ' * first.start_mark.column}{line}\n" for line in dumped.splitlines())
        before = text[:end]
        return f"{before}{'' if before.endswith(chr(10)) else chr(10)}{lines}{text[end:]}"
    at, column = last.end_mark.index, first.start_mark.column
    alone = text[: first.start_mark.index].rpartition("\n")[2].strip() == ""
    return f"{text[:at]},{chr(10) + ' ' * column if alone else ' '}{_flow(key, value)}{text[at:]}"


def _line_end(text: str, index: int) -> int:
    """Where the line of the last value ends; a block's end mark lies at the next token, behind
    blank lines.
    """
    cut = len(text[:index].rstrip())
    found = text.find("\n", cut)
    if found < 0:
        return len(text)
    return found + 1


def _flow(key: str, value: Any) -> str:
    """JSON, which YAML reads as it is."""
    return f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"

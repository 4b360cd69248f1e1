"""Adds a table at the end of a TOML file, and takes it back; the rest is never written anew."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from skillrun.agents.install.jsontext import Unfit, value_at


def parse_toml(text: str) -> dict[str, Any]:
    """The document. Raises Unfit with the reason, which names the line."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unfit(f"not TOML: {error}") from None


def append_table(text: str, keys: Sequence[str], body: str) -> tuple[str, str]:
    """The text with the table `keys` at its end, and what was appended. Raises Unfit where there is
    no room for it.
    """
    before = parse_toml(text)
    newline = "\n"
    if "\r\n" in text:
        newline = "\r\n"
    if not text:
        lead = ""
    elif text.endswith("\n"):
        lead = newline
    else:
        lead = newline * 2
    added = lead + f"[{'.'.join(keys)}]\n{body}".replace("\n", newline)
    if _without_table(parse_toml(text + added), keys) != before:
        raise Unfit("it cannot be edited without changing something else")
    return text + added, added


def take_back(text: str, keys: Sequence[str], added: str) -> str | None:
    """The text without what was appended; None where it is not there as it was, or no longer the
    whole table.
    """
    if text.count(added) != 1:
        return None
    new, before = text.replace(added, ""), parse_toml(text)
    try:
        if _without_table(before, keys) != parse_toml(new):
            return None
        return new
    except Unfit:  # what somebody has added behind it cannot stand alone
        return None


def _without_table(document: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The document lacking the table, and lacking its parents where nothing else is in them."""
    for depth in range(len(keys) - 1, -1, -1):
        parent = value_at(document, keys[:depth])
        if depth == len(keys) - 1 or not parent[keys[depth]]:
            del parent[keys[depth]]
    return document

"""Splits a SKILL.md at its whole-line `---` and reads the front-matter."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.contract.positions import Document, YamlProblem
from skillrun.contract.yamlpos import load_positions
from skillrun.core.errors import SkillInvalid
from skillrun.core.opening import read_file

MAX_BYTES = 1_000_000
SPEC_KEYS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")

_PLAIN_MEMBER = re.compile(
    r"(?P<start>[ \t]*[A-Za-z_][\w.-]*:[ \t]+)(?P<value>[^\s\"'\[{|>#&!][^\n]*)"
)


@dataclass(frozen=True)
class FrontMatter:
    """The keys of a SKILL.md with their lines, and the Markdown that follows."""

    values: dict[str, Any]
    lines: dict[tuple[str | int, ...], int]  # 1-based lines of the file
    source: dict[tuple[str | int, ...], str]  # scalars as they were written
    body: str
    body_line: int  # the line of the file on which the body begins
    repaired: bool = False  # read only after values with a colon had been quoted

    def line(self, *path: str | int) -> int:
        """The line of a key, or of what is around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def text(self, key: str) -> str:
        """A top-level value as text, as it was written (`1.10` stays `1.10`); empty where there is
        none.
        """
        value = self.values.get(key)
        if value is None or isinstance(value, dict | list):
            return ""
        return self.source.get((key,), str(value)).strip()

    @property
    def metadata(self) -> dict[str, str]:
        """`metadata` with every value as text."""
        values = self.values.get("metadata")
        if not isinstance(values, Mapping):
            return {}
        return {str(key): self._metadata_text(str(key), value) for key, value in values.items()}

    def _metadata_text(self, key: str, value: Any) -> str:
        if isinstance(value, dict | list):
            import json

            return json.dumps(value, ensure_ascii=False, sort_keys=True)
        return self.source.get(("metadata", key), "" if value is None else str(value)).strip()


def read_skill_bytes(path: Path) -> bytes:
    """The bytes of a SKILL.md. SkillInvalid where it is missing, no file, or larger than 1 MB (then
    unread).
    """
    try:
        if not path.is_file():
            what = "no such SKILL.md"
            if path.exists():
                what = "is not a file"
            raise SkillInvalid(
                f"{path}:1: {what}", hint="skillrun list shows the skills that can be found here"
            )
        return read_file(path, MAX_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _too_large(path) from None
        raise SkillInvalid(
            f"{path}:1: cannot be read: {error.strerror}", hint="check its permissions"
        ) from error


def _too_large(path: Path) -> SkillInvalid:
    return SkillInvalid(
        f"{path}:1: larger than 1 MB",
        hint="move the details into files beside SKILL.md and link them",
    )


def decode_text(data: bytes, path: Path) -> str:
    """The text of a SKILL.md: UTF-8, without its byte order mark, lines ending in a single
    newline.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SkillInvalid(f"{path}:{line}: not UTF-8", hint="save the file as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_front_matter(text: str, path: Path) -> tuple[str, str, int]:
    """(front-matter, body, line of the body). The fences are lines that hold `---` and nothing
    else.
    """
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        raise SkillInvalid(
            f"{path}:1: no front-matter",
            hint="the first line must be ---, then name and description, then ---",
        )
    for index, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:index]), "\n".join(lines[index + 1 :]), index + 2
    raise SkillInvalid(
        f"{path}:1: the front-matter is never closed", hint="add a line --- after it"
    )


def read_front_matter(text: str, path: Path) -> FrontMatter:
    """The front-matter of a SKILL.md's text. SkillInvalid with `path:line: what`."""
    front, body, body_line = split_front_matter(text, path)
    document, repaired = _load_yaml(front, path)
    if document.value is None:
        raise SkillInvalid(
            f"{path}:1: the front-matter is empty", hint="give it a name and a description"
        )
    if not isinstance(document.value, dict):
        raise SkillInvalid(
            f"{path}:2: the front-matter is no mapping",
            hint="write keys and values, such as name: my-skill",
        )
    lines = {where: line + 1 for where, line in document.lines.items()}
    return FrontMatter(document.value, lines, document.source, body, body_line, repaired)


def _load_yaml(front: str, path: Path) -> tuple[Document, bool]:
    try:
        return load_positions(front), False
    except YamlProblem:
        quoted = quote_plain_values(front)
    try:
        return load_positions(quoted), True
    except YamlProblem as problem:  # what the quotes have mended need not be shown
        raise SkillInvalid(
            f"{path}:{problem.line + 1}: front-matter: {problem.what}", hint=problem.hint
        ) from problem


def quote_plain_values(front: str) -> str:
    """The front-matter with plain one-line values that hold a colon, or begin with a sign of
    YAML's, in quotes.

    Agents read `description: Use when: x`, so people write it, although YAML refuses it.
    """
    lines = front.split("\n")
    return "\n".join(
        _quote_value(line, following)
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
    )


def _quote_value(line: str, following: str) -> str:
    match = _PLAIN_MEMBER.fullmatch(line)
    if match is None or _goes_on(line, following):
        return line
    value = match["value"].rstrip()
    if not re.search(r":(\s|$)", value) and value[0] not in "*@`%":
        return line
    return match["start"] + "'" + value.replace("'", "''") + "'"


def _goes_on(line: str, following: str) -> bool:
    """Whether the next line belongs to this value: it is indented further, and no member of a
    mapping.
    """
    indent = len(line) - len(line.lstrip())
    further = len(following) - len(following.lstrip()) > indent
    return bool(following.strip()) and further

"""Sections and list items of a Markdown text, read by a Markdown parser, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_LINK_SCHEMES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")


@dataclass(frozen=True)
class Bullet:
    """A list item or a paragraph: its text on one line as Markdown, and what is nested in it."""

    text: str
    line: int  # 1-based line of the file
    bullets: tuple[Bullet, ...] = ()


@dataclass(frozen=True)
class Block:
    """One block of a section: a heading, a paragraph, a list, or something else."""

    kind: str  # heading | paragraph | bullet_list | ordered_list | other
    line: int
    text: str = ""
    level: int = 0  # of a heading
    items: tuple[Bullet, ...] = ()
    numbers: tuple[int, ...] = ()  # as written, of an ordered list's items


@dataclass(frozen=True)
class Section:
    """A heading and everything up to the next heading of its level or above."""

    title: str
    level: int
    line: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Link:
    """The target of a link or an image."""

    target: str
    line: int


@dataclass(frozen=True)
class Body:
    """A parsed Markdown text."""

    sections: tuple[Section, ...]
    links: tuple[Link, ...]
    # Lines of code fences that are never closed and so swallow the rest.
    open_fences: tuple[int, ...]

    def section(self, name: str) -> Section | None:
        """The first section of that name; upper and lower case, spaces and hyphens do not
        matter.
        """
        for section in self.sections:
            if plain_title(section.title) == name:
                return section
        return None


def plain_title(title: str) -> str:
    """`**Non-Goals**:` -> `non goals`."""
    return " ".join(re.sub(r"[*_`:#]", "", title).replace("-", " ").casefold().split())


# A run reads the same SKILL.md for its question, for its stages and for its report.
@lru_cache(maxsize=8)
def parse_body(text: str, first_line: int = 1) -> Body:
    """Reads Markdown that begins on line `first_line` of its file."""
    # Nesting is bounded: a text of ten thousand `>` would otherwise exhaust the stack.
    tokens = MarkdownIt("commonmark", {"maxNesting": 40}).parse(text)
    root = SyntaxTreeNode(tokens)
    offset = first_line
    blocks = [_block(node, offset) for node in root.children]
    return Body(
        tuple(_sections(blocks)),
        tuple(_links(tokens, offset)),
        tuple(_open_fences(tokens, text, offset)),
    )


def _sections(blocks: Sequence[Block]) -> Iterator[Section]:
    for index, block in enumerate(blocks):
        if block.kind != "heading":
            continue
        inside = []
        for following in blocks[index + 1 :]:
            if following.kind == "heading" and following.level <= block.level:
                break
            inside.append(following)
        yield Section(block.text, block.level, block.line, tuple(inside))


def _block(node: SyntaxTreeNode, offset: int) -> Block:
    line = _line(node, offset)
    if node.type == "heading":
        return Block("heading", line, _text(node), level=int(node.tag[1:]))
    if node.type == "paragraph":
        return Block("paragraph", line, _text(node))
    if node.type == "bullet_list":
        return Block("bullet_list", line, items=_items(node, offset))
    if node.type == "ordered_list":
        return Block("ordered_list", line, items=_items(node, offset), numbers=_numbers(node))
    return Block("other", line)


def _items(node: SyntaxTreeNode, offset: int) -> tuple[Bullet, ...]:
    return tuple(_item(child, offset) for child in node.children)


def _item(node: SyntaxTreeNode, offset: int) -> Bullet:
    """The item's first paragraph is its text; lists and further paragraphs are nested in it."""
    children = list(node.children)
    text = ""
    if children and children[0].type in ("paragraph", "heading"):
        text = _text(children.pop(0))
    nested: list[Bullet] = []
    for child in children:
        if child.type in ("bullet_list", "ordered_list"):
            nested.extend(_items(child, offset))
        elif child.type == "paragraph":
            nested.append(Bullet(_text(child), _line(child, offset)))
    return Bullet(text, _line(node, offset), tuple(nested))


def _numbers(node: SyntaxTreeNode) -> tuple[int, ...]:
    found = []
    for index, child in enumerate(node.children, start=1):
        found.append(int(child.info) if child.info.isdigit() else index)
    return tuple(found)


def _text(node: SyntaxTreeNode) -> str:
    return " ".join(
        child.content.replace("\n", " ") for child in node.children if child.type == "inline"
    ).strip()


def _line(node: SyntaxTreeNode, offset: int) -> int:
    return (node.map[0] if node.map else 0) + offset


def _links(tokens: Sequence[Token], offset: int) -> Iterator[Link]:
    for token in tokens:
        line = (token.map[0] if token.map else 0) + offset
        for child in token.children or ():
            line += child.type in ("softbreak", "hardbreak")
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield Link(str(target), line)


def _open_fences(tokens: Sequence[Token], text: str, offset: int) -> Iterator[int]:
    lines = text.split("\n")
    for token in tokens:
        if token.type != "fence" or token.map is None or token.level:
            continue
        begin, end = token.map
        last = ""
        if end <= len(lines):
            last = lines[end - 1].strip()
        closed = (
            end - begin > 1 and last.startswith(token.markup) and not last.strip(token.markup[0])
        )
        if not closed:
            yield begin + offset


def is_relative(target: str) -> bool:
    """Whether a link leads to a file beside the text."""
    return bool(target) and not target.startswith(("#", "/")) and not _LINK_SCHEMES.match(target)

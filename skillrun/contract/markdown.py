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
    blocks = [_read_block(node, first_line) for node in root.children]
    return Body(
        tuple(_list_sections(blocks)),
        tuple(_list_links(tokens, first_line)),
        tuple(_find_open_fences(tokens, text, first_line)),
    )


def _list_sections(blocks: Sequence[Block]) -> Iterator[Section]:
    """A section for each heading; one of a deeper level lies in those above it as well."""
    for index, block in enumerate(blocks):
        if block.kind != "heading":
            continue
        inside = []
        for following in blocks[index + 1 :]:
            if following.kind == "heading" and following.level <= block.level:
                break
            inside.append(following)
        yield Section(block.text, block.level, block.line, tuple(inside))


def _read_block(node: SyntaxTreeNode, offset: int) -> Block:
    """A block of the tree; `offset` is the line of the file on which the Markdown begins."""
    line = _line_of(node, offset)
    if node.type == "heading":
        return Block("heading", line, _text_of(node), level=int(node.tag[1:]))
    if node.type == "paragraph":
        return Block("paragraph", line, _text_of(node))
    if node.type == "bullet_list":
        return Block("bullet_list", line, items=_read_items(node, offset))
    if node.type == "ordered_list":
        return Block(
            "ordered_list", line, items=_read_items(node, offset), numbers=_read_numbers(node)
        )
    return Block("other", line)


def _read_items(node: SyntaxTreeNode, offset: int) -> tuple[Bullet, ...]:
    return tuple(_read_item(child, offset) for child in node.children)


def _read_item(node: SyntaxTreeNode, offset: int) -> Bullet:
    """The item's first paragraph is its text; lists and further paragraphs are nested in it."""
    children = list(node.children)
    text = ""
    if children and children[0].type in ("paragraph", "heading"):
        text = _text_of(children.pop(0))
    nested: list[Bullet] = []
    for child in children:
        if child.type in ("bullet_list", "ordered_list"):
            nested.extend(_read_items(child, offset))
        elif child.type == "paragraph":
            nested.append(Bullet(_text_of(child), _line_of(child, offset)))
    return Bullet(text, _line_of(node, offset), tuple(nested))


def _read_numbers(node: SyntaxTreeNode) -> tuple[int, ...]:
    """The numbers of an ordered list as its author wrote them."""
    found = []
    for number, child in enumerate(node.children, start=1):
        if child.info.isdigit():
            found.append(int(child.info))
        else:
            found.append(number)
    return tuple(found)


def _text_of(node: SyntaxTreeNode) -> str:
    """The text of a block on one line, its emphasis and links as written."""
    inside = [child.content for child in node.children if child.type == "inline"]
    return " ".join(inside).replace("\n", " ").strip()


def _line_of(node: SyntaxTreeNode | Token, offset: int) -> int:
    """The line of the file on which a block begins, or its first line where that is not known."""
    if not node.map:
        return offset
    return node.map[0] + offset


def _list_links(tokens: Sequence[Token], offset: int) -> Iterator[Link]:
    """Every link and image. The parser gives the line of a block alone: line breaks before a link
    are counted.
    """
    for token in tokens:
        line = _line_of(token, offset)
        for child in token.children or ():
            line += child.type in ("softbreak", "hardbreak")
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield Link(str(target), line)


def _find_open_fences(tokens: Sequence[Token], text: str, offset: int) -> Iterator[int]:
    """The lines of code fences that nothing closes. One within a list or a quotation ends with it,
    and swallows nothing.
    """
    lines = text.split("\n")
    for token in tokens:
        if token.type != "fence" or token.map is None or token.level:
            continue
        begin, end = token.map
        last = ""
        if end <= len(lines):
            last = lines[end - 1].strip()
        # A closing fence is at least as long as the opening one, and of the same sign.
        looks_closed = last.startswith(token.markup) and not last.strip(token.markup[0])
        # On one line there is only the opening fence.
        if end - begin < 2 or not looks_closed:
            yield begin + offset


def is_relative(target: str) -> bool:
    """Whether a link leads to a file beside the text."""
    return bool(target) and not target.startswith(("#", "/")) and not _LINK_SCHEMES.match(target)

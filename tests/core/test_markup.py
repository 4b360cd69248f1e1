"""Text as Markdown: what is shown is the text, and nothing else comes of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from skillrun.core.markup import (
    block_markdown,
    cell_markdown,
    code_markdown,
    prose_html,
    prose_markdown,
)
from skillrun.core.text import visible

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXTS = st.text(st.sampled_from("ab @#:/.`*_[]()<>!|~$\\-+=1 \n\t&;\u202e"), max_size=60)
# What a forge makes of a text node, behind Markdown.
CALLS = re.compile(r"@\w|\w+://\w|www\.\w|#\d|GH-\d", re.IGNORECASE)


def nodes(markdown: str) -> list[tuple[str, str]]:
    """(type, content) of what a reader makes of it, text beside text as one."""
    found: list[tuple[str, str]] = []
    for token in READER.parse(markdown):
        if token.type == "inline":
            found += [(child.type, child.content) for child in token.children or ()]
        elif token.type not in ("paragraph_open", "paragraph_close"):
            found.append((token.type, token.content))
    joined: list[tuple[str, str]] = []
    for kind, content in found:
        if kind == "text_special":
            kind = "text"
        if joined and joined[-1][0] == kind == "text":
            joined[-1] = ("text", joined[-1][1] + content)
        else:
            joined.append((kind, content))
    return joined


@pytest.mark.parametrize(
    "text",
    (
        "<script>alert(1)</script>",
        '<img src="https://x.example.org/?a" onerror="b">',
        "![pixel](https://x.example.org/p.png)",
        "[a](javascript:b)",
        "*bold* _and_ ~~gone~~ $x$",
        "# heading",
        "1. list",
        "- list",
        "--- ",
        "===",
        "> quotation",
        "</details>",
        "@octocat and email#1()@octocat, (a@b.example.org)",
        "fixes #12, shop/shop#12, GH-12",
        "see https://x.example.org/`a` or www.example.org",
        "a `quoted @octocat` word and an odd ` one @octocat",
        "`@octocat` `` `@octocat` ``",
        "&lt;b&gt; \\*x\\*",
        "line\nline",
    ),
)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    for kind, content in nodes(prose_markdown(text)):
        assert kind in ("text", "code_inline"), (kind, content)
        assert kind == "code_inline" or not CALLS.search(content), content


@given(TEXTS)
@example("`1``@1")
@example("`1`@`\\")
def test_any_text_is_text_or_code_and_keeps_its_letters(text: str) -> None:
    found = nodes(prose_markdown(text))
    assert {kind for kind, _ in found} <= {"text", "code_inline"}
    for kind, content in found:
        assert kind == "code_inline" or not CALLS.search(content), content
    shown = re.sub(r"[`\s]", "", "".join(content for _, content in found))
    assert shown == re.sub(r"[`\s]", "", visible(text))


@given(TEXTS)
def test_code_is_one_span_with_the_text_in_it(text: str) -> None:
    markdown = code_markdown(text)
    if not visible(text).strip():
        assert markdown == ""
        return
    assert nodes(f"a {markdown} b") == [
        ("text", "a "),
        ("code_inline", visible(text)),
        ("text", " b"),
    ]


@given(st.text(st.sampled_from("`~a\n "), max_size=40))
def test_nothing_ends_a_block_from_inside(text: str) -> None:
    found = nodes(f"{block_markdown(text)}\n\nbehind")
    assert [kind for kind, _ in found] == ["fence", "text"]


def test_html_holds_the_same_and_calls_nobody() -> None:
    shown = prose_html('`a<b` @octocat <script> "x"')
    assert shown == "<code>a&lt;b</code> <code>@octocat</code> &lt;script&gt; &quot;x&quot;"


def test_a_bar_ends_no_cell() -> None:
    row = f"| {cell_markdown(code_markdown('a|b'))} | {cell_markdown(prose_markdown('c|d'))} |"
    kinds = [token.type for token in READER.parse(f"| x | y |\n|---|---|\n{row}\n")]
    assert kinds.count("td_open") == 2


def test_a_boundary_is_one_piece_of_code() -> None:
    said = "email takes place: email#1(order_id=7, email='a@example.com') (commit#1), later"
    assert prose_markdown(said) == (
        "email takes place: `email#1(order_id=7, email='a@example.com')` (`commit#1`), later"
    )

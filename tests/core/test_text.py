"""Text from a repository neither hides anything nor steers a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrun.core.text import plain_lines, safe_json, visible

any_text = st.text(st.characters(codec=None, categories=None), max_size=700)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words, ünïcode, 日本語, 🎉", "plain words, ünïcode, 日本語, 🎉"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("access\u202e level", r"access\u202e level"),
        ("\u2066\u2069\u200e\u200f\u061c", r"\u2066\u2069\u200e\u200f\u061c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("odd-\udcff.py", r"odd-\udcff.py"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
    ],
)
def test_hidden_and_steering_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_stay_where_lines_are_wanted() -> None:
    assert visible("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


def test_what_is_cut_is_counted() -> None:
    shown = visible("x" * 623, 500)
    assert len(shown) == 500
    assert shown.endswith("x…(+130)")
    assert visible("x" * 500, 500) == "x" * 500


def test_an_escape_is_never_cut_in_two() -> None:
    shown = visible("\x1b" * 100, 50)
    assert shown == r"\x1b" * 10 + "…(+90)"


def test_without_a_limit_everything_stays() -> None:
    assert visible("x" * 5000, None) == "x" * 5000


@pytest.mark.parametrize("limit", [0, 1, 3, 7])
def test_a_tiny_limit_holds(limit: int) -> None:
    assert len(visible("abcdefghijkl", limit)) <= limit


@given(any_text)
def test_shown_text_holds_nothing_that_is_not_printed(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert len(shown) <= 500
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in shown)
    assert not any(
        unicodedata.bidirectional(c)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for c in shown
    )
    assert visible(shown) == shown


def test_json_keeps_its_shape_and_loses_its_tricks() -> None:
    value = {"pa\u202eth": ("a\udcff", ["\x1b", "two\nlines"], 1, None, True, 1.5, float("inf"))}
    assert safe_json(value) == {
        r"pa\u202eth": [r"a\udcff", [r"\x1b", "two\nlines"], 1, None, True, 1.5, None]
    }


@given(any_text)
def test_json_is_always_utf_8(text: str) -> None:
    document = json.dumps(safe_json({text: [text]}), ensure_ascii=False, allow_nan=False)
    json.loads(document.encode("utf-8"))


def test_colours_and_cursor_movements_go() -> None:
    assert (
        plain_lines("\x1b[1;31mno\x1b[0m\x1b]8;;http://x\x1b\\link\x1b]8;;\x07\r\n50%\r100%\n")
        == "nolink\n50%\n100%\n"
    )


def test_loading_it_loads_nothing_heavy() -> None:
    code = "import skillrun.core.text, skillrun.core.lock, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"skillrun.core.masking", "yaml", "pydantic", "rich", "subprocess", "ctypes"} & set(
        loaded
    )

"""The front-matter is split at whole lines, and plain values with a colon are forgiven."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrun.contract.frontmatter import (
    decode_text,
    quote_plain_values,
    read_front_matter,
    split_front_matter,
)
from skillrun.contract.lint import lint_skill
from skillrun.core.errors import SkillInvalid

HERE = Path("SKILL.md")


def front(text: str) -> dict[str, object]:
    return read_front_matter(f"---\n{text}\n---\nbody\n", HERE).values


def test_dashes_inside_a_value_do_not_end_it() -> None:
    found = read_front_matter(
        "---\nname: a\ndescription: |\n  one\n  --- two\n  ---\nlicense: x --- y\n---\nbody", HERE
    )
    assert found.values == {"name": "a", "description": "one\n--- two\n---\n", "license": "x --- y"}
    assert (found.body, found.body_line) == ("body", 9)


def test_a_fence_may_end_in_spaces() -> None:
    assert read_front_matter("---  \nname: a\n--- \t\nbody", HERE).values == {"name": "a"}


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("description: Use when: x", "Use when: x"),
        ("description: Use it: it's good", "Use it: it's good"),
        ("description: `code` first", "`code` first"),
        ("description: @who", "@who"),
        ("description: 50 %: half", "50 %: half"),
        ("description: ends with a colon:", "ends with a colon:"),
    ],
)
def test_plain_values_that_yaml_refuses_are_read_as_text(text: str, description: str) -> None:
    found = read_front_matter(f"---\nname: a\n{text}\n---\n", HERE)
    assert found.values == {"name": "a", "description": description}
    assert found.repaired


@pytest.mark.parametrize(
    "text", ["description: 'Use when: x'", "description: plain", "description: >-\n  Use when: x"]
)
def test_what_yaml_accepts_is_left_alone(text: str) -> None:
    assert not read_front_matter(f"---\nname: a\n{text}\n---\n", HERE).repaired


def test_the_line_shown_is_that_of_the_text_as_it_was_written() -> None:
    with pytest.raises(SkillInvalid, match=r"^SKILL.md:4: front-matter"):
        front("name: a\ndescription: b: c\nlicense: [x")


def test_a_value_that_goes_on_is_not_quoted() -> None:
    assert quote_plain_values("a: b: c\n  d") == "a: b: c\n  d"


def test_lint_calls_the_missing_quotes_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a" / "SKILL.md"
    path.parent.mkdir()
    path.write_text("---\nname: a\ndescription: Use when: x\n---\n## Workflow\n1. a\n")
    assert [finding.rule for finding in lint_skill(path)] == ["skill.yaml"]


@pytest.mark.real
@given(st.text(max_size=200))
def test_any_text_is_split_or_refused(text: str) -> None:
    try:
        found = read_front_matter(decode_text(text.encode("utf-8", "replace"), HERE), HERE)
    except SkillInvalid as refusal:
        assert refusal.message.startswith("SKILL.md:")
    else:
        assert isinstance(found.values, dict)


lines = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20)


@pytest.mark.real
@given(
    st.lists(lines.filter(lambda line: line.rstrip() != "---"), max_size=8),
    st.lists(lines, max_size=8),
)
def test_splitting_loses_nothing(inside: list[str], after: list[str]) -> None:
    text = "\n".join(["---", *inside, "---", *after])
    head, body, line = split_front_matter(text, HERE)
    assert head == "\n".join(inside)
    assert body == "\n".join(after)
    assert line == len(inside) + 3
    assert text.split("\n")[line - 1 :] == (after or [])

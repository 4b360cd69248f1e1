"""A value goes into a JSON text and comes out again, and not one other byte changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillrun.agents.install.jsontext import Unfit, insert_value, parse_json, remove_value
from skillrun.agents.install.present import find_presence, put_in, take_out
from skillrun.agents.interface import Addition

PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["mcpServers", "hooks", "other", "Stop", "ä", 'a"b', ""]),
    st.recursive(
        PLAIN,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["Stop", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)
STYLES = (
    {"indent": 2},
    {"indent": 4},
    {"indent": "\t"},
    {"separators": (",", ":")},
    {"indent": 0},
    {"indent": 2, "ensure_ascii": False},
)


@pytest.mark.real
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    document=DOCUMENTS,
    style=st.sampled_from(STYLES),
    crlf=st.booleans(),
    end=st.sampled_from(["", "\n", "\n\n "]),
)
def test_in_and_out_again(
    document: dict[str, Any], style: dict[str, Any], crlf: bool, end: str
) -> None:
    text = json.dumps(document, **style) + end
    check_without_a_trace(text.replace("\n", "\r\n") if crlf else text)


def check_without_a_trace(text: str) -> None:
    for how, keys in (
        ("element", ("hooks", "Stop")),
        ("member", ("mcpServers", "skillrun")),
        ("default", ("v",)),
    ):
        one = Addition("x.json", how, keys, {"command": "skillrun", "args": ["mcp"]})
        try:
            new, entry = put_in(text, one, ("claude",))
        except Unfit:
            continue
        assert is_within(text, new)
        assert ("\r\n" in new) == ("\r\n" in text)
        assert find_presence(new, one) == "same"
        assert take_out(new, entry, created=False) == text


def is_within(smaller: str, larger: str) -> bool:
    """Every character of the one, in its order, in the other."""
    rest = iter(larger)
    return all(character in rest for character in smaller)


@pytest.mark.parametrize(
    "text",
    (
        '{"hooks": {"Stop": [ {"a":1} ]}}',
        '{\n    "hooks" : {"Stop": []},\n    "z": [1,2]\n}',
        '{\n\t"hooks": {\n\t\t"Stop": [\n\t\t\t{"a": [1,  2]}\n\t\t]\n\t}\n}\n\n',
        '{"hooks": {"Stop": [\n\n]}}',
        "{ }",
        "{\n}\n",
        " {}",
        '{"hooks": { }, "mcpServers": {\n\t}}',
    ),
)
def test_odd_layouts(text: str) -> None:
    check_without_a_trace(text)


COMMENTED = """{
  // what the house allows
  "permissions": {"allow": ["Bash(git://x)"]}, /* two
  lines */
  "hooks": {
    // none but ours
    "Stop": [
      // the first one is the oldest
      {"hooks": []} // and stays
    ]
  },
  "mcpServers": { /* "skillrun": 1 */ }
  // the end
}
"""


@pytest.mark.parametrize(
    "text",
    (
        COMMENTED,
        COMMENTED.replace("\n", "\r\n"),
        '{"hooks": {"Stop": [/* a */ 1 /* b */]}}',
        '{"a": "// no comment", "b": "\\\\" // one\n}',
        "// only this\n{\n}\n",
        '{"a": "/*", "b": "*/"}',
    ),
)
def test_comments_stay_where_they_are(text: str) -> None:
    check_without_a_trace(text)


ABOUT = """{
  "a": 1, // about a
  // about b
  "b": 2, /* x */
  "c": 3 // about c
}
"""


@pytest.mark.parametrize(
    ("key", "left"),
    [
        ("a", ABOUT.replace('"a": 1, ', "")),
        ("b", ABOUT.replace('"b": 2, ', "")),
        ("c", ABOUT.replace('  "c": 3 //', "  //").replace('"b": 2,', '"b": 2')),
    ],
)
def test_comments_of_the_neighbours_stay_where_one_goes(key: str, left: str) -> None:
    assert remove_value(ABOUT, [key]) == left
    assert remove_value(ABOUT.replace("\n", "\r\n"), [key]) == left.replace("\n", "\r\n")


COMMENTS = ("", " ", " // %\n", " /* % */ ", "\n  // %\n  ")


@pytest.mark.real
@settings(deadline=None)
@given(
    gaps=st.lists(st.sampled_from(COMMENTS), min_size=12, max_size=12),
    length=st.integers(1, 4),
    data=st.data(),
)
def test_whatever_goes_no_comment_does(gaps: list[str], length: int, data: Any) -> None:
    said = [gap.replace("%", f"comment {number}") for number, gap in enumerate(gaps)]
    members = []
    for number in range(length):
        members.append(f'{said[2 * number]}"k{number}": {number}{said[2 * number + 1]}')
    text = "{" + ",".join(members) + "}"
    gone = data.draw(st.integers(0, length - 1))
    left = remove_value(text, [f"k{gone}"])
    assert parse_json(left) == {f"k{n}": n for n in range(length) if n != gone}
    for number in range(2 * length):
        if "comment" in said[number]:
            assert left.count(f"comment {number}") == 1


def test_a_comment_within_what_goes_is_said_and_stays() -> None:
    text = '{\n  "a": 1,\n  "b": {\n    "x": 1 // mine\n  }\n}\n'
    with pytest.raises(Unfit, match="line 4: a comment"):
        remove_value(text, ["b"])


def test_a_comment_beside_what_was_alone_stays() -> None:
    text = '{\n  "a": {\n    // mine\n    "b": 1\n  }\n}\n'
    assert remove_value(text, ["a", "b"]) == text.replace('    "b": 1\n', "")


def test_a_value_comes_behind_the_comment_of_the_first_one() -> None:
    done = insert_value(COMMENTED, ("hooks", "Stop"), {"x": 1}, element=True)
    assert done.text == COMMENTED.replace(
        '{"hooks": []} // and stays',
        '{"hooks": []},\n      {\n        "x": 1\n      } // and stays',
    )


def test_the_style_of_the_neighbours_is_taken_on() -> None:
    done = insert_value('{\n\t"a": {\n\t\t"b": 1\n\t}\n}\n', ("a", "c"), {"d": [2]}, element=False)
    assert (
        done.text
        == '{\n\t"a": {\n\t\t"b": 1,\n\t\t"c": {\n\t\t\t"d": [\n\t\t\t\t2\n\t\t\t]\n\t\t}\n\t}\n}\n'
    )
    done = insert_value("{\n}\n", ("a",), 1, element=False)
    assert done.text == '{\n  "a": 1\n}\n'
    done = insert_value('{"a": {"b": 1}}', ("a", "c"), [2], element=False)
    assert done.text == '{"a": {"b": 1, "c": [2]}}'


@pytest.mark.parametrize(
    ("text", "says"),
    (
        ('{"a": 1, // mine\n}', "not JSON"),
        ('{"a": 1 // mine\n "b": 2}', "not JSON"),
        ('{"a": 1 /* mine\n}', "not JSON"),
        ("", "not JSON"),
        ("[]", "not an object"),
        ('{"hooks": []}', "hooks is not an object"),
        ('{"hooks": {"Stop": {}}}', "not an array"),
        ('{"hooks": {}, "hooks": {"Stop": []}, "hooks": 3}', "hooks is not an object"),
        ("[" * 100_000, "not JSON"),
    ),
    ids=str,
)
def test_what_has_no_room_is_refused(text: str, says: str) -> None:
    with pytest.raises(Unfit, match=says):
        insert_value(text, ("hooks", "Stop"), 1, element=True)

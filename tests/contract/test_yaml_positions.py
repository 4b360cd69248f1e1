"""YAML and JSON are read as JSON values with lines; traps are named and bombs refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skillrun.contract.positions import Document, YamlProblem
from skillrun.contract.yamlpos import load_positions


def short(value: object) -> str:
    """An id for a test: the huge texts would make huge names."""
    return ascii(value)[1:30]


def problem(text: str, filename: str = "") -> YamlProblem:
    with pytest.raises(YamlProblem) as caught:
        load_positions(text, filename)
    return caught.value


def test_every_value_knows_its_line() -> None:
    found = load_positions("a: 1\nb:\n  c: [x,\n    y]\n  d:\n    - e: 1\n    - 2\n")
    assert found.value == {"a": 1, "b": {"c": ["x", "y"], "d": [{"e": 1}, 2]}}
    assert found.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 3,
        ("b", "c", 1): 4,
        ("b", "d"): 5,
        ("b", "d", 0): 6,
        ("b", "d", 0, "e"): 6,
        ("b", "d", 1): 7,
    }


def test_what_is_missing_has_the_line_of_what_is_around_it() -> None:
    found = load_positions("a: 1\nb:\n  c: 1\n")
    assert (found.line(("b", "x", "y")), found.line(("z",)), found.line(())) == (2, 1, 1)


def test_json_values_know_their_lines_too() -> None:
    text = (
        '{\n  "a": "x,}]\\"",\n  "b": [\n    1.5,\n    {"c": null}\n  ],\n  "d": {}, "e": []\n}\n'
    )
    found = load_positions(text, "job.json")
    assert found.value == json.loads(text)
    assert found.lines == {
        (): 1,
        ("a",): 2,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 1): 5,
        ("b", 1, "c"): 5,
        ("d",): 7,
        ("e",): 7,
    }


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "\ufeff", "---\n"])
def test_nothing_is_null(text: str) -> None:
    assert load_positions(text).value is None
    assert load_positions("  \n", "x.json").value is None


def test_aliases_and_merges_are_expanded_within_limits() -> None:
    found = load_positions("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nagain: *b\n")
    assert found.value == {
        "base": {"x": 1, "y": 2},
        "use": {"y": 3, "x": 1},
        "again": {"x": 1, "y": 2},
    }
    assert load_positions("l: [&a {x: 1}, {<<: [*a, {z: 1}]}]").value == {
        "l": [{"x": 1}, {"x": 1, "z": 1}]
    }


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("v: 1:30", "base-60 number 90"),
        ("v: 12:30:45", "base-60 number 45045"),
        ("v: 2024-01-01", "a date"),
        ("v: 2024-01-01 10:00:00", "a date"),
        ("v: on", "true"),
        ("v: No", "false"),
        ("v: yes", "true"),
    ],
)
def test_traps_are_named(text: str, reading: str) -> None:
    found = load_positions(text)
    assert reading in found.traps["v",]
    assert "quote it" in found.traps["v",]


@pytest.mark.parametrize(
    "text", ["v: '1:30'", "v: 130", "v: true", "v: False", 'v: "on"', "v: 1.5", "v: '2024-01-01'"]
)
def test_plain_spellings_are_no_traps(text: str) -> None:
    assert load_positions(text).traps == {}


def test_a_date_stays_the_text_that_was_written() -> None:
    assert load_positions("v: 2024-01-01").value == {"v": "2024-01-01"}


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        ("a: 1\ns: */5 * * * *", 2, "alphabetic or numeric", "must be quoted"),
        ("s: * * * * *", 1, "alphabetic or numeric", "must be quoted"),
        ("s: *nobody", 1, "undefined alias", "must be quoted"),
        ("a:\n\tb: 1", 2, "", "spaces"),
        ("a: @daily", 1, "cannot start any token", "must be quoted"),
        ("a: b: c", 1, "mapping values are not allowed", "must be quoted"),
        ("a: {scratch}/app.db", 1, "", "must be quoted"),
        ('a: "open', 1, "end of stream", "quotation mark"),
        ("a: 1\n---\nb: 2", 2, "another document", "one document"),
        ("a: 1\nb: 2\na: 3", 3, "'a' is given twice, first in line 1", "keep one"),
        ("a: {b: 1, b: 2}", 1, "'b' is given twice", "keep one"),
        ("on: 1", 1, "the key on is read as bool", 'quote it: "on"'),
        ("1: a", 1, "the key 1 is read as int", "quote it"),
        ("? [a, b]\n: 1", 1, "a key must be text", "quoted"),
        ("a: !!binary aGk=", 1, "!!binary is not allowed", "plain"),
        ("a: !!set {x}", 1, "!!set is not allowed", "plain"),
        ("a: !thing x", 1, "!thing is not allowed", "plain"),
        ("a: !!python/object/apply:os.system [id]", 1, "is not allowed", "plain"),
        ("a: .nan", 1, "not a number that JSON knows", "finite"),
        ("a: -.inf", 1, "not a number that JSON knows", "finite"),
        ("a: 1e999", 1, "", ""),
        ("a: 0x" + "f" * 9000, 1, "", ""),
        ("a: " + "9" * 9000, 1, "no number that can be read", "quote"),
        ("<<: 3\na: 1", 1, "merges something that is no mapping", "mapping"),
        ("a: b\nc: \x07", 2, "U+0007 is not allowed", "escape"),
    ],
    ids=short,
)
def test_a_mistake_is_shown_with_its_line_and_what_to_do(
    text: str, line: int, what: str, hint: str
) -> None:
    if not what and not hint:  # a string or a number, as the reader likes; but never a crash
        load_positions(text)
        return
    found = problem(text)
    assert found.line == line
    assert what in found.what
    assert hint in found.hint


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('{"a": 1,\n "a": 2}', 2, "given twice, first in line 1"),
        ('{"a": 1,\n b}', 2, "not JSON"),
        ("{a: 1}", 1, "not JSON"),
        ('{"a": NaN}', 1, "NaN is not a number"),
        ('{"a": -Infinity}', 1, "Infinity is not a number"),
        ('{"a": ' + "9" * 9000 + "}", 1, "not JSON"),
        ("[" * 60 + "]" * 60, 1, "nested deeper"),
        ("[" * 100_000 + "]" * 100_000, 1, "nested deeper"),
        ("[" + "1," * 30_000 + "1]", 1, "more than 20,000"),
    ],
    ids=short,
)
def test_json_is_read_strictly(text: str, line: int, what: str) -> None:
    found = problem(text, "job.json")
    assert found.line == line
    assert what in found.what


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LAUGHS, "once its aliases are expanded"),
        ("a: &a\n  b: *a\n", "an alias that contains itself"),
        ("a: " + "[" * 60 + "]" * 60, "nested deeper"),
        ("a: " + "[" * 50_000 + "]" * 50_000, "nested deeper"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(60)), "nested deeper"),
        ("- x\n" * 30_000, "more than 20,000"),
        ("a: " + "x" * 1_000_001, "larger than 1 MB"),
    ],
    ids=short,
)
def test_bombs_are_refused(text: str, what: str) -> None:
    assert what in problem(text).what


keys = st.text(min_size=1, max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.real
@given(values)
def test_what_a_yaml_writer_writes_is_read_back(value: Any) -> None:
    found = load_positions(yaml.safe_dump(value))
    assert found.value == value
    assert found.traps == {}
    assert set(found.lines) == set(paths(value))


@pytest.mark.real
@given(values, st.sampled_from([None, 1]))
def test_what_a_json_writer_writes_is_read_back(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    found = load_positions(text, "x.json")
    assert found.value == value
    assert set(found.lines) == set(paths(value))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.lines.values())


@given(st.text(alphabet="ab:-[]{}&*!?|>'\"#% \t\n0159,.~<", max_size=60))
def test_no_text_makes_it_crash(text: str) -> None:
    for name in ("x.yaml", "x.json"):
        try:
            found = load_positions(text, name)
        except YamlProblem as caught:
            assert caught.what and caught.hint and caught.line >= 1
        else:
            assert isinstance(found, Document)
            json.dumps(found.value, allow_nan=False)


def paths(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    members: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    return [here, *(path for key, member in members for path in paths(member, (*here, key)))]

"""A hash can be recomputed by anybody from the value alone."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrun.core.canonical import canonical, digest, object_writer, sha256

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_the_exact_bytes() -> None:
    value = {"b": [1, 2.5, None, True], "a": "ü\n"}
    assert canonical(value) == b'{"a":"\xc3\xbc\\n","b":[1,2.5,null,true]}'
    assert digest(value) == hashlib.sha256(canonical(value)).hexdigest() == sha256(canonical(value))


@pytest.mark.real
@given(json_values)
def test_reading_it_back_gives_the_same_hash(value: object) -> None:
    assert digest(json.loads(canonical(value))) == digest(value)


@given(st.dictionaries(st.text(), st.integers(), min_size=2, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)


def test_a_lone_surrogate_is_no_error_and_no_other_text() -> None:
    assert json.loads(canonical("odd-\udcff")) == "odd-\udcff"
    assert digest("odd-\udcff") != digest(r"odd-\udcff")


def test_tuples_are_lists() -> None:
    assert digest((1, "a")) == digest([1, "a"])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(number)


VALUES = (
    st.none()
    | st.integers()
    | st.booleans()
    | st.text(st.characters(), max_size=8)
    | st.floats(allow_nan=False)
)


@given(st.lists(VALUES, min_size=4, max_size=4))
def test_a_row_is_written_as_its_object_is(row: list[object]) -> None:
    names = ("seq", "n", 'zz"', "a")
    wanted = {name: value for name, value in zip(names, row, strict=True) if value is not None}
    if float("inf") in row or float("-inf") in row:
        with pytest.raises(ValueError, match="not JSON compliant"):
            object_writer(names)(row)
    else:
        assert object_writer(names)(row) == canonical(wanted)

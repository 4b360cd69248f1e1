"""What a hash covers of an event's data, worked out on the text itself, is what parsing and writing
it anew gives.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrun.core.canonical import canonical, sha256
from skillrun.ledger import chain, texts

PIECES = (
    '"',
    "\\",
    "\\\\",
    '\\"',
    "\n",
    "\0",
    "é",
    "\ud800",
    ":",
    ",",
    "{",
    "}",
    "a" * 63,
    "b" * 64,
    "c" * 65,
    "x",
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.just([1000] * 30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def slowly(value: Any) -> Any:
    """The value with every long string by its digest, keys as they are."""
    if isinstance(value, str):
        return (
            f"sha256:{sha256(value.encode('utf-8', 'surrogatepass'))}"
            if len(value) > texts.LONG
            else value
        )
    if isinstance(value, list):
        return [slowly(member) for member in value]
    return (
        {key: slowly(member) for key, member in value.items()} if isinstance(value, dict) else value
    )


@pytest.mark.real
@given(VALUES)
def test_long_texts_count_by_their_digests(value: Any) -> None:
    assert texts.hashed_text(canonical(value).decode()) == canonical(slowly(value)).decode()


@pytest.mark.real
@given(
    st.recursive(
        TEXTS,
        lambda inner: st.dictionaries(st.sampled_from(["a", "seal", "z"]), inner),
        max_leaves=8,
    )
)
def test_the_seal_is_found_where_parsing_finds_it(data: Any) -> None:
    text = canonical(data).decode()
    assert chain.seal_in(text) == chain.seal_of(json.loads(text))


@pytest.mark.parametrize(
    "text", [None, 3, b"{}", "", '"seal":', '{"seal":', '{"seal":1}', '[{"seal":{}}]', "{" * 99999]
)
def test_what_is_no_event_has_no_seal(text: Any) -> None:
    assert chain.seal_in(text) == {}


@pytest.mark.parametrize("inside", ["\\u0061" * 70, "\\/" * 70, "\t" * 70, "\udcff" * 70])
def test_a_long_string_that_is_written_in_another_way_is_refused(inside: str) -> None:
    with pytest.raises(ValueError, match=r"not canonical JSON|surrogates"):
        texts.hashed_text(f'{{"a":"{inside}"}}')

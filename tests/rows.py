"""Rows of a matrix: one of each kind is quick, the whole of it belongs to `make real`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def real_but(rows: Iterable[Any], *quick: Any) -> list[Any]:
    """These rows for `parametrize`, all but the quick ones marked `real`. Each that is called quick
    is one of them.
    """
    given = list(rows)
    assert [row for row in quick if row not in given] == []
    return [row if row in quick else pytest.param(row, marks=pytest.mark.real) for row in given]

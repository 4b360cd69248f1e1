"""Parquet: one file for each table, for DuckDB, pandas, Spark and the like. Needs pyarrow (extra
`parquet`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import Any

from skillrun.core.errors import Refused
from skillrun.core.extras import install_hint
from skillrun.ledger.exports.source import Source

SUFFIX = "parquet"
# Rows of a row group, which is held in memory at once; columns of some thousands compress well.
_GROUP = 20_000


def check_packages() -> None:
    """Raises Refused where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        hint = install_hint("parquet")
        raise Refused("--format parquet needs a package that is not installed: pyarrow", hint=hint)


def format_table(source: Source, name: str) -> Iterator[bytes]:
    """The file in one piece for each row group; integers are int64, everything else is text, JSON
    as it is stored.
    """
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    columns = source.list_columns(name)
    fields = []
    for column, kind in columns:
        if kind == "INTEGER":
            type = pyarrow.int64()
        else:
            type = pyarrow.string()
        fields.append((column, type))
    schema = pyarrow.schema(fields)
    rows = source.read_rows(name)
    sink = _Pieces()
    with parquet.ParquetWriter(
        pyarrow.PythonFile(sink, mode="w"), schema, compression="zstd"
    ) as writer:
        while group := list(islice(rows, _GROUP)):
            writer.write_table(pyarrow.table(_build_arrays(pyarrow, group, schema), schema=schema))
            yield sink.take_new()
    yield sink.take_new()


def _build_arrays(pyarrow: Any, rows: Sequence[Sequence[Any]], schema: Any) -> list[Any]:
    columns = zip(*rows, strict=True)
    arrays = []
    for column, field in zip(columns, schema, strict=True):
        arrays.append(pyarrow.array(column, type=field.type))
    return arrays


class _Pieces:
    """A file that is written to, and read from its beginning as it grows."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()
        self._length = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._held += piece
        self._length += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        return None

    def close(self) -> None:
        return None

    def take_new(self) -> bytes:
        """What was written since the last time."""
        piece = bytes(self._held)
        self._held.clear()
        return piece

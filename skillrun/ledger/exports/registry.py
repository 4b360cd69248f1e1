"""The formats of `skillrun ledger export` by name."""

from __future__ import annotations

from skillrun.ledger.exports import csvtables, intoto, jsonl, otlp, parquet
from skillrun.ledger.exports.interface import Lines, Tables

LINES: dict[str, Lines] = {"jsonl": jsonl, "otlp": otlp, "intoto": intoto}
TABLES: dict[str, Tables] = {"csv": csvtables, "parquet": parquet}
NAMES = ("jsonl", "csv", "otlp", "intoto", "parquet")

"""Anchors in a file: plain lines that are only added to, or one in-toto statement."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from skillrun.anchors.intoto import read_statement, statement
from skillrun.errors import Misuse, Refused
from skillrun.ledger.anchors import Anchor, read_lines

_MOST = 256 * 1024 * 1024  # bytes


def read_file(path: Path, *, named: bool = False) -> list[Anchor]:
    """The anchors in a file of either sort. Raises Misuse for one that cannot be read, or holds
    none.
    """
    text, place = _text(path), str(path)
    if text.lstrip().startswith("{"):
        return read_statement(text, place, named=named)
    found = read_lines(text, place, named=named)
    if not found:
        raise Misuse(
            f"{path}: no anchors in it", hint="skillrun ledger anchor --to FILE writes them"
        )
    return found


def add_lines(path: Path, anchors: Iterable[Anchor]) -> None:
    """Adds lines to a file, those that are not in it; a half line of a process that died stays
    alone on its line.

    The file is locked meanwhile, and cut back where the disk is full. Raises Refused where it
    cannot be written.
    """
    try:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            before = file.read()
            there = set(before.decode("utf-8", "replace").splitlines())
            new = [anchor.line for anchor in anchors if anchor.line not in there]
            start = "\n" if before and not before.endswith(b"\n") else ""
            if new:
                _append(file.fileno(), (start + "\n".join(new) + "\n").encode(), len(before))
    except OSError as error:
        raise _unwritable(path, error) from None


def _append(fd: int, data: bytes, size: int) -> None:
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, size)
        raise


def write_statement(path: Path, anchors: Iterable[Anchor]) -> None:
    """Writes a statement, with the heads of the one that is there. Raises Misuse for a file of
    another sort.
    """
    earlier = read_statement(_text(path), str(path)) if path.exists() else []
    value = statement([*anchors, *(Anchor(a.ledger, a.run_id, a.n, a.hash) for a in earlier)])
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # it may not be there, or the whole place is read-only
            draft.unlink()
        raise _unwritable(path, error) from None


def _text(path: Path) -> str:
    try:
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > _MOST:
            raise Misuse(
                f"{path}: not a file of anchors", hint="skillrun ledger anchor --to FILE writes one"
            )
        return path.read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise Misuse(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from None


def _unwritable(path: Path, error: OSError) -> Refused:
    return Refused(
        f"{path}: cannot be written: {error.strerror}", hint="name another file with --to"
    )

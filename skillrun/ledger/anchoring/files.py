"""Anchors in a file: plain lines that are only added to, or one in-toto statement."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from skillrun.core.errors import Misuse, Refused
from skillrun.ledger.anchoring.intoto import build_statement, read_statement
from skillrun.ledger.anchors import Anchor, read_lines

# Bytes, read at once: more than a million anchors, and too few to fill a machine's memory.
_MOST = 256 * 1024 * 1024


def read_file(path: Path, *, named: bool = False) -> list[Anchor]:
    """The anchors in a file of either sort. Raises Misuse for one that cannot be read, or holds
    none.
    """
    text, place = _read_text(path), str(path)
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
            new = ""
            for anchor in anchors:
                if anchor.line not in there:
                    new += f"{anchor.line}\n"
            if not new:
                return
            if before and not before.endswith(b"\n"):
                new = f"\n{new}"
            _append_or_cut_back(file.fileno(), new.encode(), len(before))
    except OSError as error:
        raise _refuse_unwritable(path, error) from None


def _append_or_cut_back(fd: int, data: bytes, size: int) -> None:
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
    every = list(anchors)
    if path.exists():
        for earlier in read_statement(_read_text(path), str(path)):
            # Without the place where it was read: one that is written anew must be the same one.
            every.append(Anchor(earlier.ledger, earlier.run_id, earlier.n, earlier.hash))
    value = build_statement(every)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        # It may not be there, or the whole place is read-only.
        with contextlib.suppress(OSError):
            draft.unlink()
        raise _refuse_unwritable(path, error) from None


def _read_text(path: Path) -> str:
    try:
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > _MOST:
            raise Misuse(
                f"{path}: not a file of anchors", hint="skillrun ledger anchor --to FILE writes one"
            )
        return path.read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise Misuse(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from None


def _refuse_unwritable(path: Path, error: OSError) -> Refused:
    return Refused(
        f"{path}: cannot be written: {error.strerror}", hint="name another file with --to"
    )

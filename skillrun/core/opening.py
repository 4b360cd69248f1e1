"""The one door to a file that somebody else wrote and that is opened by its name.

Under the name of a profile or a spec may stand a pipe, on which a read waits for ever, a device
that never ends, or a text nested so deeply that a parser exhausts the stack. Here each of these is
an OSError or a ValueError with the words for it, at once, so that whoever asks has two kinds of
exceptions to think of.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

# A larger file is no profile, no settings and no manifest of anybody.
USUAL_MOST = 16 * 1024 * 1024

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: Path, most: int = USUAL_MOST) -> bytes:
    """The bytes of a regular file, or of one that a link leads to.

    Raises OSError for everything else, with `strerror` in words: no such file, a pipe, a device,
    larger than `most`.
    """
    handle = _open(path)
    try:
        _check(path, os.fstat(handle), most)
        # Without it a file that grows meanwhile would be read as long as it grows.
        data = _read(handle, most + 1)
    finally:
        os.close(handle)
    if len(data) > most:
        raise _too_large(path, most)
    return data


def read_beginning(path: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file, however large it is. Raises OSError as `read_file`
    does.
    """
    handle = _open(path)
    try:
        _check(path, os.fstat(handle), None)
        return _read(handle, most)
    finally:
        os.close(handle)


def read_end(path: Path, most: int) -> bytes:
    """The last `most` bytes of a regular file, however large it is. Raises OSError as `read_file`
    does.
    """
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - most, 0))
        return file.read(most)


def open_file(path: Path) -> BinaryIO:
    """A regular file, open for reading piece by piece. Raises OSError as `read_file` does, but for
    no size.
    """
    handle = _open(path)
    try:
        _check(path, os.fstat(handle), None)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_utf8(path: Path, most: int = USUAL_MOST) -> str:
    """The text of a file without its byte order mark. Raises OSError, and ValueError for no
    UTF-8.
    """
    return read_file(path, most).decode("utf-8-sig")


def read_json(path: Path, most: int = USUAL_MOST) -> Any:
    """The value of a JSON file. Raises OSError as `read_file` does, ValueError as `parse_json`
    does.
    """
    return parse_json(read_file(path, most))


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is not JSON, or nested too deep for the
    parser.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The value of a TOML text. Raises ValueError for what is not TOML, or nested too deep for the
    parser.
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_yaml(text: str | bytes) -> Any:
    """The value of a YAML text. Raises ValueError for what is not YAML, or nested too deep for the
    parser.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    # A ValueError of Python's own goes on as it is: a date that no calendar has, `2020-99-99`.
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _open(path: Path) -> int:
    """Without O_NONBLOCK the open itself waits on a pipe until somebody writes into it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError:
        raise OSError(errno.EINVAL, "no file name: it holds a zero byte", str(path)) from None
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.EINVAL, "a socket, not a file", str(path)) from None
        raise


def _check(path: Path, seen: os.stat_result, most: int | None) -> None:
    kind = stat.S_IFMT(seen.st_mode)
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"{_KINDS.get(kind, 'something else')}, not a file", str(path))
    if most is not None and seen.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most / 1_000_000:.3g} MB", str(path))


def _read(handle: int, most: int) -> bytes:
    pieces: list[bytes] = []
    left = most
    while left > 0:
        piece = os.read(handle, min(left, 1024 * 1024))
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)

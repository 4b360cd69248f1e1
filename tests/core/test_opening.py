"""The door to files that others wrote: a file as it is, everything else an error in words, at
once.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skillrun.core.opening import (
    open_file,
    parse_json,
    parse_toml,
    parse_yaml,
    read_beginning,
    read_file,
    read_utf8,
)

DEEP = "[" * 200_000


def test_a_file_is_read_and_so_is_one_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfx\r\n")
    (tmp_path / "b").symlink_to("a")
    assert read_file(tmp_path / "b") == b"\xef\xbb\xbfx\r\n"
    assert read_utf8(tmp_path / "a") == "x\r\n"
    assert read_beginning(tmp_path / "a", 3) == b"\xef\xbb\xbf"
    with open_file(tmp_path / "a") as file:
        assert file.readline() == b"\xef\xbb\xbfx\r\n"


def test_a_file_as_large_as_is_meant_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10)
    assert read_file(tmp_path / "a", 10) == b"x" * 10
    with pytest.raises(OSError, match="larger than"):
        read_file(tmp_path / "a", 9)


@pytest.mark.parametrize("read", [read_file, open_file, read_utf8])
def test_what_is_no_file_is_said_to_be_none(tmp_path: Path, read: object) -> None:
    assert callable(read)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in (
        ("pipe", "a pipe"),
        ("device", "a device"),
        (".", "a folder"),
        ("loop", "levels"),
    ):
        with pytest.raises(OSError, match=words):
            read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
    with pytest.raises(OSError, match="zero byte"):
        read(tmp_path / "a\0b")


@pytest.mark.real
@pytest.mark.parametrize("parse", [parse_json, parse_toml, parse_yaml])
def test_what_is_nested_too_deep_is_a_value_error(parse: object) -> None:
    assert callable(parse)
    text = f"a = {DEEP}" if parse is parse_toml else DEEP[: 3_000 if parse is parse_yaml else None]
    with pytest.raises(ValueError):
        parse(text)


def test_what_is_well_formed_is_parsed() -> None:
    assert parse_json('{"a": 1}') == parse_toml("a = 1") == parse_yaml("a: 1") == {"a": 1}

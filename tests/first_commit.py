"""The first commit of a small repository, written as git writes it, without a process of git.

The tests begin thousands of repositories: two processes for each were a fifth of their time. The
commit has the id that git would have given it; `tests/repo/test_first_commit.py` asks git.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

AUTHOR = b"Test <test@example.invalid> 1704067200 +0000"
# Git reads these when it adds files: what they say is left to git.
READ_BY_GIT = frozenset((".gitignore", ".gitattributes", ".gitmodules", ".git"))
FILE = 0o100644


def is_plain(names: Collection[str]) -> bool:
    """Whether git would take files of these names as they are, in this order and spelling."""
    for name in names:
        path = PurePosixPath(name)
        is_spelled = str(path) == name and not path.is_absolute() and name.isascii()
        if not is_spelled or ".." in path.parts or READ_BY_GIT & {*path.parts}:
            return False
    return True


def write_first_commit(root: Path, names: Collection[str]) -> None:
    """Commits the plain files of these names, all that are there, to the branch main."""
    objects = root / ".git" / "objects"
    blobs = {name: _write_object(objects, b"blob", (root / name).read_bytes()) for name in names}
    tree = _write_tree(objects, blobs)
    text = b"tree %s\nauthor %s\ncommitter %s\n\nFirst\n" % (tree.hex().encode(), AUTHOR, AUTHOR)
    commit = _write_object(objects, b"commit", text)
    _write_index(root, blobs)
    (root / ".git" / "refs" / "heads" / "main").write_text(f"{commit.hex()}\n")


def _write_object(objects: Path, kind: bytes, data: bytes) -> bytes:
    """The id of an object that is there now."""
    whole = b"%s %d\0%s" % (kind, len(data), data)
    made = hashlib.sha1(whole)
    path = objects / made.hexdigest()[:2] / made.hexdigest()[2:]
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(whole, 1))
        path.chmod(0o444)
    return made.digest()


def _write_tree(objects: Path, blobs: dict[str, bytes]) -> bytes:
    """The tree of one folder: names below it -> ids."""
    entries: dict[bytes, bytes] = {}
    folders: dict[str, dict[str, bytes]] = {}
    for name, blob in blobs.items():
        first, _, rest = name.partition("/")
        if rest:
            folders.setdefault(first, {})[rest] = blob
        else:
            entries[name.encode()] = b"100644 %s\0%s" % (name.encode(), blob)
    for name, inner in folders.items():
        made = b"40000 %s\0%s" % (name.encode(), _write_tree(objects, inner))
        entries[f"{name}/".encode()] = made  # git sorts a folder as if its name ended so
    return _write_object(objects, b"tree", b"".join(entries[name] for name in sorted(entries)))


def _write_index(root: Path, blobs: dict[str, bytes]) -> None:
    """Version 2 of gitformat-index, each file as it is on the disk now."""
    parts = [struct.pack(">4sLL", b"DIRC", 2, len(blobs))]
    for name in sorted(blobs):
        there = os.lstat(root / name)
        times = (divmod(there.st_ctime_ns, 10**9), divmod(there.st_mtime_ns, 10**9))
        numbers = (*times[0], *times[1], there.st_dev, there.st_ino, FILE, there.st_uid)
        numbers = (*numbers, there.st_gid, there.st_size)
        fixed = struct.pack(">10L", *(number & 0xFFFFFFFF for number in numbers))
        entry = fixed + blobs[name] + struct.pack(">H", min(len(name), 0xFFF)) + name.encode()
        parts.append(entry + b"\0" * (8 - len(entry) % 8))
    data = b"".join(parts)
    (root / ".git" / "index").write_bytes(data + hashlib.sha1(data).digest())

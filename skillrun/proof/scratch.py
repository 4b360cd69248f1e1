"""The folder of one proof: its scratch, put back to the snapshot before every schedule, and what
lies beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from skillrun.core.errors import Blocked

_MOST = 512 * 1024 * 1024  # bytes of a snapshot: it is kept in memory
_OURS = re.compile(r"skillrun-(\d+)-\w+")


def sweep(base: Path) -> None:
    """Removes what a skillrun that was killed has left there."""
    for path in base.glob("skillrun-*-*"):
        ours = _OURS.fullmatch(path.name)
        if ours is None or path.is_symlink():
            continue
        try:
            if path.stat().st_uid != os.getuid():
                continue
        except FileNotFoundError:
            # The proof that it belonged to has ended, and removed it, since the folder was listed.
            continue
        try:
            os.kill(int(ours[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # it lives, and is somebody else's


def _no_room(base: str | None, error: OSError) -> Blocked:
    where = base or tempfile.gettempdir()
    hint = "make room there, or set TMPDIR to a folder with room"
    return Blocked(f"no scratch folder can be made in {where}: {error.strerror}", hint=hint)


class Workplace:
    """`scratch` is `{scratch}`; `home` and `tmp` are the deliveries' own; `run` holds sockets and
    output.
    """

    def __init__(self) -> None:
        shm = Path("/dev/shm")
        base = str(shm) if shm.is_dir() and os.access(shm, os.W_OK | os.X_OK) else None
        sweep(Path(base or tempfile.gettempdir()))
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=f"skillrun-{os.getpid()}-", dir=base))
        except OSError as error:
            raise _no_room(base, error) from error
        self.scratch, self.home = self.folder / "scratch", self.folder / "home"
        self.tmp, self.run = self.folder / "tmp", self.folder / "run"
        try:
            for part in (self.scratch, self.home, self.tmp, self.run):
                part.mkdir(mode=0o700)
            if os.geteuid() == 0:
                # A server that root starts is somebody else, and must pass here to reach its own
                # folder; `tmp` is /tmp inside, and an interpreter may lie below that.
                for part in (self.folder, self.run, self.tmp):
                    part.chmod(0o711)
        except OSError as error:
            self.remove()
            raise _no_room(base, error) from error
        self._snapshot: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._first: tuple[dict[str, bytes], set[str]] | None = None

    def snapshot(self) -> dict[str, bytes]:
        """Remembers the scratch as it is; path -> content. Raises Blocked for more than can be
        kept.
        """
        size = sum((self.scratch / name).stat().st_size for name in self._files())
        if size > _MOST:
            said = (
                f"the scratch holds {size >> 20} MB after proof.setup; at most {_MOST >> 20} MB can"
                " be kept"
            )
            raise Blocked(said, hint="let the setup write less into {scratch}")
        self._snapshot = {name: (self.scratch / name).read_bytes() for name in self._files()}
        self._folders = {
            str(p.relative_to(self.scratch)) for p in self.scratch.rglob("*") if p.is_dir()
        }
        self._first = self._first or (self._snapshot, self._folders)
        return self._snapshot

    @property
    def kept(self) -> dict[str, bytes]:
        """The snapshot."""
        return self._snapshot

    def adopt(self, other: Workplace) -> None:
        """Takes another workplace's snapshot. What the setup wrote down of its own place, such as a
        database's path in a module of settings, is of this one.
        """
        there, here = os.fsencode(other.folder), os.fsencode(self.folder)
        snapshot = other.kept
        # Of one process, and so of one length: what counts its bytes, as a database does, is right.
        if len(there) == len(here):
            snapshot = {name: text.replace(there, here) for name, text in snapshot.items()}
        self._snapshot = dict(snapshot)
        self._folders = {str(Path(name).parent) for name in snapshot} - {"."}
        self.restore()

    def restore(self, *, first: bool = False) -> None:
        """Puts the scratch back, to the last snapshot or to the first."""
        files, folders = self._first if first and self._first else (self._snapshot, self._folders)
        for name in self._files():
            if name not in files:
                (self.scratch / name).unlink()
        for name in sorted(folders):
            (self.scratch / name).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (self.scratch / name).write_bytes(content)
        for path in sorted(self.scratch.rglob("*"), reverse=True):
            if path.is_dir() and str(path.relative_to(self.scratch)) not in folders:
                with contextlib.suppress(OSError):
                    path.rmdir()

    def _files(self) -> list[str]:
        found = []
        for folder, _, names in os.walk(self.scratch):
            paths = (Path(folder) / name for name in names)
            found += [str(path.relative_to(self.scratch)) for path in paths if path.is_file()]
        return found

    def digest(self, name: str) -> str | None:
        """Of a file's content; None where there is no such file."""
        path = self.scratch / name
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def remove(self) -> None:
        """Leaves nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)

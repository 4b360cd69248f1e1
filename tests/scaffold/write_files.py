"""Writes files as one, in a process that may be killed, disturbed, or short of room.

    python write_files.py BASE '{"path": "text" or null}' [OPTIONS]

Options: `kill=K` dies by SIGKILL before its K-th step that changes the disk; `edit=PATH` edits a
file, as somebody else would, before the first file is put in place; `limit=BYTES` no file may be
larger; `wait` says that it is ready, then waits for a line. Prints the number of steps.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from skillrun.core.errors import Refused
from skillrun.core.files import Files, write

CHANGING = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Watch:
    """Counts what is about to change the disk."""

    def __init__(self, kill: int, edit: Path | None) -> None:
        self.kill, self.edit, self.seen, self.busy = kill, edit, 0, False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        opens = event == "open" and isinstance(args[2], int) and args[2] & WRITING
        if self.busy or not (opens or event in CHANGING):
            return
        if event == "os.rename" and self.edit is not None and "/writing/" not in str(args[0]):
            self.busy = True
            self.edit.write_text("mine\n")
            self.edit, self.busy = None, False
        self.seen += 1
        if self.seen == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)


def main(base: Path, wanted: dict[str, str | None], options: dict[str, str]) -> None:
    files = Files(base)
    for name, text in wanted.items():
        files.put(name, None if text is None else text.encode())
    changes = files.changes()
    if "wait" in options:
        print("ready", flush=True)
        sys.stdin.readline()
    if "limit" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(options["limit"]), resource.RLIM_INFINITY))
    watch = Watch(
        int(options.get("kill", 0)), base / options["edit"] if "edit" in options else None
    )
    sys.addaudithook(watch)
    try:
        write(base, changes)
    finally:
        watch.busy = True
        print(watch.seen, flush=True)


if __name__ == "__main__":
    try:
        given = dict(option.partition("=")[::2] for option in sys.argv[3:])
        main(Path(sys.argv[1]).resolve(), json.loads(sys.argv[2]), given)
    except Refused as refused:
        sys.exit(f"refused: {refused}")

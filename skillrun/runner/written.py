"""The event that a scaffold wrote files: noted on the disk before the write, so that a death hides
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.actor import who
from skillrun.core.beneath import put_file
from skillrun.core.canonical import sha256
from skillrun.core.errors import Refused, SkillrunError
from skillrun.core.opening import read_file, read_json
from skillrun.ledger.rows import NewEvent
from skillrun.runner.target import lock_folder

if TYPE_CHECKING:
    from skillrun.ledger.store import Ledger
    from skillrun.runner.changes import Plan

WRITTEN = "scaffold.written"
_MODE = 0o644


def _locate_note(ledger: Path) -> Path:
    """Beside the locks, which git ignores."""
    return lock_folder(ledger) / "scaffold.json"


def begin(ledger: Path, run: str, plan: Plan) -> None:
    """Before the write: what will be recorded of it. Raises Refused where it cannot be noted."""
    actor = who()
    files = []
    for change in plan.changes:
        files.append(
            {
                "path": change.path,
                "before": None if change.before is None else sha256(change.before.encode()),
            }
        )
    kept = [{"path": kept.path, "line": kept.line, "name": kept.name} for kept in plan.kept]
    note = {"run": run, "actor": [actor.name, str(actor.kind)], "files": files, "kept": kept}
    path = _locate_note(ledger)
    folder = ledger.parent.resolve()
    try:
        path.parent.mkdir(exist_ok=True)
        # The repository may hold a link in the place of the note, or of its folder: neither is
        # written through.
        put_file(folder, f"{path.parent.name}/{path.name}", json.dumps(note).encode(), _MODE)
    except OSError as error:
        if path.parent.is_symlink():
            said, place = "a symbolic link", path.parent
        else:
            said, place = f"cannot be written: {error.strerror}", path
        hint = "replace what is there by a folder that you can write"
        raise Refused(f"{place}: {said}; nothing was written", hint=hint) from None


def record(ledger: Ledger, path: Path, root: Path, formatters: Sequence[str] | None = None) -> None:
    """After the write: the event, with the files' hashes as they are now; nothing where no write
    was begun.

    `formatters`: those that had consent and ran; None where nobody knows, because the process that
    wrote has died.
    A write of which no file is to be seen is forgotten. `path` is the ledger's.
    """
    note = _read_note(_locate_note(path))
    if note is not None:
        files = [_describe_file(root, one) for one in note["files"]]
        if any(
            one["sha256"] != before["before"]
            for one, before in zip(files, note["files"], strict=True)
        ):
            ran: dict[str, Any] = {"interrupted": True}
            if formatters is not None:
                ran = {"formatters": list(formatters)}
            name, kind = note["actor"]
            data = {"files": files, "kept": note["kept"], **ran}
            ledger.append(note["run"], [NewEvent(WRITTEN, actor=name, actor_kind=kind, data=data)])
        _locate_note(path).unlink(missing_ok=True)


def drop(path: Path) -> None:
    """Nothing was written."""
    _locate_note(path).unlink(missing_ok=True)


def finish_interrupted_write(ledger: Ledger, path: Path, root: Path) -> None:
    """Records what a process wrote that died before it could; a note that fits no run of this
    ledger is removed.
    """
    try:
        record(ledger, path, root)
    except SkillrunError:
        drop(path)


def _read_note(path: Path) -> dict[str, Any] | None:
    """The note, where it is one."""
    try:
        note: dict[str, Any] = read_json(path)
        name, kind = note["actor"]
        names = [str(one["path"]) for one in note["files"]]
        whole = all(isinstance(text, str) for text in (note["run"], name, kind)) and isinstance(
            note["kept"], list
        )
        inside = all(not Path(one).is_absolute() and ".." not in Path(one).parts for one in names)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if whole and inside:
        return note
    return None


def _describe_file(root: Path, one: dict[str, Any]) -> dict[str, Any]:
    path = root / one["path"]
    text = _read_content(path)
    return {
        "path": one["path"],
        "sha256": None if text is None else sha256(text),
        "new": one["before"] is None,
    }


def _read_content(path: Path) -> bytes | None:
    """None where there is no file any more, or something else in its place."""
    try:
        return read_file(path)
    except OSError:
        return None

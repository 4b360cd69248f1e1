"""`skillrun prove --intoto FILE`: what a proof says of a commit, as a file to be signed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked, Misuse

if TYPE_CHECKING:
    from skillrun.proof.result import Proof, Target
    from skillrun.repo.git import Repo

# Of the files that stand in the way of a statement.
_NAMED = 5
# It says which library's driver runs the job, and which risks count as contract.
_PROFILE = "REPO_PROFILE.json"


def check_whole(file: Path, others: Collection[object]) -> None:
    """Raises Misuse where something else than the whole proof of a committed spec is asked for, or
    where the file is there already.
    """
    if any(others):
        hint = "leave out HANDLER, --set, --schedule, --list and --acks-late"
        raise Misuse("--intoto states the whole proof of a committed spec", hint=hint)
    check_new_file("--intoto", file)


def check_new_file(option: str, file: Path) -> None:
    """Raises Misuse for a file that exists already, or whose folder does not."""
    if file.exists() or file.is_symlink():
        raise Misuse(
            f"{option} {file}: exists already", hint="name a new file; nothing is overwritten"
        )
    if not file.parent.is_dir():
        raise Misuse(
            f"{option} {file}: there is no such folder", hint="name a file in a folder that exists"
        )


def require_commit(repo: Repo, target: Target, modules: Collection[str] = ()) -> str:
    """The commit of HEAD. Raises Blocked where it does not hold the tree as it is, or the spec, the
    profile or one of the `modules`, also where git ignores it.
    """
    from skillrun.core.text import visible
    from skillrun.repo.git import list_uncommitted

    read = {target.spec.shown_path, *modules}
    if (repo.root / _PROFILE).exists():
        read.add(_PROFILE)
    found = list_uncommitted(repo, read=read)
    if repo.head is not None and not found:
        return repo.head
    named = ", ".join(map(visible, found[:_NAMED]))
    if len(found) > _NAMED:
        named += f" and {len(found) - _NAMED} more"
    raise Blocked(
        f"--intoto speaks of a commit, and HEAD does not hold: {named or 'anything'}",
        hint="commit first; a file that git ignores must not be imported by the job",
    )


def write_statement(
    file: Path, report: dict[str, Any], proof: Proof, target: Target, repo: Repo
) -> str:
    """Writes the statement; what was done, as a sentence. Raises Blocked where HEAD does not hold
    what was proved, or has moved meanwhile.
    """
    import json

    from skillrun.core.text import safe_json
    from skillrun.proof.statement import build_statement
    from skillrun.repo.git import open_repo

    now = open_repo(repo.root)
    if now.head != repo.head:
        raise Blocked("--intoto: HEAD has moved while the proof ran", hint="prove it again")
    commit = require_commit(now, target, proof.modules)
    finished = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    statement = build_statement(report, target, commit, proof.modules, finished)
    # ASCII, so that nothing of a repository reaches a terminal as it is.
    text = json.dumps(safe_json(statement), indent=2, ensure_ascii=True) + "\n"
    try:
        with file.open("x", encoding="ascii") as opened:
            opened.write(text)
    except OSError as error:
        raise Misuse(
            f"--intoto {file}: cannot be written: {error.strerror}", hint="name another file"
        ) from None
    return f"written: {file} (unsigned; cosign attest-blob --statement signs it)"

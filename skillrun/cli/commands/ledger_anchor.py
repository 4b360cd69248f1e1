"""`skillrun ledger anchor`: publishes the head of every run outside the ledger."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from skillrun.cli.commands.common import ledger_of, print_json
from skillrun.core.errors import Misuse
from skillrun.core.text import visible

_HOW = "--to git-note, --to FILE, or --to intoto FILE"


def anchor(to: str, file: Path | None, repo: Path, ledger: Path | None, json: bool) -> int:
    """To a git note, a file of lines, or an in-toto statement."""
    from skillrun.ledger.anchoring.publish import INTOTO, NOTE, PLAIN, publish_heads
    from skillrun.repo.git import open_repo

    path = ledger_of(repo, ledger)
    if file is not None and to != INTOTO:
        raise Misuse(f"--to {to} {file}: one place too many", hint=_HOW)
    if file is None and to == INTOTO:
        raise Misuse("--to intoto: no file", hint=_HOW)
    if to == NOTE:
        done = publish_heads(path, NOTE, repo=open_repo(repo))
    else:
        done = publish_heads(path, INTOTO if file else PLAIN, file=file or Path(to))
    if json:
        heads = []
        for a in done.anchors:
            heads.append(
                {k: v for k, v in asdict(a).items() if k in ("ledger", "run_id", "n", "hash")}
            )
        print_json({"kind": done.kind, "place": done.place, "new": done.new, "heads": heads})
        return 0
    if len(done.anchors) == 1:
        runs = "1 run is"
    else:
        runs = f"{len(done.anchors)} runs are"
    print(visible(f"{runs} anchored in {done.place}, {done.new} of them anew"))
    if done.kind == NOTE:
        print(f"it is in this clone alone until it is pushed: git push origin {done.place}")
    return 0

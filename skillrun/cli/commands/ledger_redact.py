"""`skillrun ledger redact`: takes the long texts out of one event, where a secret slipped in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from skillrun.cli.commands.common import ledger_of, print_json, print_table
from skillrun.errors import Misuse


def redact(run: str, n: int, reason: str, dry_run: bool, repo: Path, ledger: Path | None, json: bool) -> int:
    """Says which texts went, by digest and length; never their content."""
    from skillrun.actor import who
    from skillrun.ledger.redact import redact as take_out

    if not dry_run and not reason.strip():
        raise Misuse("--reason is missing", hint='say why, e.g. --reason "a token in the output"')
    actor = who()
    path, kind = ledger_of(repo, ledger), str(actor.kind)
    done = take_out(path, run, n, reason=reason, actor=actor.name, actor_kind=kind, dry_run=dry_run)
    if json:
        print_json(asdict(done))
        return 0
    print_table(("sha256", "characters"), sorted(done.texts.items()))
    if dry_run:
        print(f"\n{len(done.texts)} texts of event {n} would be taken out; nothing was changed")
        return 0
    print(f"\n{len(done.texts)} texts of event {n} were taken out; the hashes hold")
    print("what leaked has leaked: replace the secret itself, and look at copies of the ledger")
    return 0

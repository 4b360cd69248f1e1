"""`skillrun ledger redact`: takes long texts out of a run, where a secret slipped in."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.cli.commands.common import ledger_of, print_json, print_table
from skillrun.core.errors import Misuse
from skillrun.core.opening import read_utf8
from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.ledger.redact import Redaction


def redact(
    run: str,
    n: int | None,
    containing: Path | None,
    reason: str,
    dry_run: bool,
    repo: Path,
    ledger: Path | None,
    json: bool,
) -> int:
    """Says which texts went, by digest and length; never their content."""
    from skillrun.core.actor import person, who
    from skillrun.ledger.redact import Wanted
    from skillrun.ledger.redact import redact as take_out

    if n is None and containing is None:
        raise Misuse(
            "which texts?",
            hint="give the number of an event, or --containing FILE with the secret in it",
        )
    if not dry_run and not reason.strip():
        raise Misuse("--reason is missing", hint='say why, e.g. --reason "a token in the output"')
    wanted = Wanted(n, _secret(containing) if containing else None)
    if dry_run:
        actor = who()
    else:
        actor = person("redact")
    done = take_out(
        ledger_of(repo, ledger),
        run,
        wanted,
        reason=reason,
        actor=actor.name,
        actor_kind=str(actor.kind),
        dry_run=dry_run,
    )
    if json:
        print_json(asdict(done))
    else:
        _tell_what_went(done, dry_run=dry_run)
    return 0


def _tell_what_went(done: Redaction, *, dry_run: bool) -> None:
    rows = []
    for event, gone in sorted(done.texts.items()):
        for digest, size in gone.items():
            rows.append((event, digest[:16], size))
    print_table(("event", "sha256", "characters"), rows)
    print(
        "\nthese would be taken out; nothing was changed"
        if dry_run
        else "\nthese were taken out; the hashes hold"
    )
    if done.left:
        print(
            f"still in short texts or paths of the events {', '.join(map(str, done.left))}: a hash"
            " covers them there"
        )
    for receiver in done.receivers:
        print(
            visible(
                f"{receiver} has been sent them: skillrun ledger ship --to takes them out there"
            )
        )
    if not dry_run:
        print(
            "what leaked has leaked: replace the secret itself, and look at copies and exports of"
            " the ledger"
        )


def _secret(file: Path) -> str:
    """The content of a file, `-` for standard input: never on a command line, which others can
    read.
    """
    try:
        if str(file) == "-":
            text = sys.stdin.read()
        else:
            text = read_utf8(file)
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(
            f"--containing {file}: cannot be read: {getattr(error, 'strerror', 'not UTF-8')}"
        ) from None
    if len(secret := text.rstrip("\n")) < 4:
        raise Misuse(f"--containing {file}: fewer than 4 characters", hint="put the secret into it")
    return secret

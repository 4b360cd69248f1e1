"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Repo = Annotated[Path, typer.Option("--repo", metavar="PATH", help="The repository to work on.")]
Spec = Annotated[
    Path | None,
    typer.Option("--spec", metavar="FILE", help="The job spec (default: .skillrun/jobs/)."),
]
LedgerFile = Annotated[
    Path | None,
    typer.Option("--ledger", metavar="FILE", help="The ledger (default: .skillrun/ledger.db)."),
]
LedgerPlace = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="FILE|URL",
        help="The ledger, or one in PostgreSQL (default: .skillrun/ledger.db).",
    ),
]
Handler = Annotated[
    str | None,
    typer.Argument(metavar="[HANDLER]", help="A job without a spec, e.g. shop.tasks:send."),
]
Schedule = Annotated[
    str | None,
    typer.Option("--schedule", metavar="S", help="Replay this one, e.g. 'kill@before:email#1'."),
]
PytestFile = Annotated[
    Path | None,
    typer.Option("--pytest", metavar="FILE", help="Write the refutation as a regression test."),
]
StatementFile = Annotated[
    Path | None,
    typer.Option("--intoto", metavar="FILE", help="State it about the commit, to be signed."),
]
AcksLate = Annotated[
    bool, typer.Option("--acks-late", help="Only: may it be acknowledged once it is done?")
]
EveryJob = Annotated[
    bool, typer.Option("--all", help="Every job without a spec, one line each, worst first.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Allow the repository's own code to run.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Everything, not one screen.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


RowFormat = Annotated[
    Format | None, typer.Option("--format", help="How rows are written (default: table).")
]
Job = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="The job, where there are several.")
]
Run = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="The run, or the beginning of its id.")
]
User = Annotated[bool, typer.Option("--user", help="In the home folder, for all repositories.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the changes as a diff; write nothing.")
]
AgentName = Annotated[
    str,
    typer.Argument(
        help=(
            "claude, codex, cursor, copilot, gemini, antigravity, opencode, agents for any other;"
            " or github-actions."
        )
    ),
]
Pairs = list[str]
Overrides = Annotated[
    Pairs, typer.Option("--set", metavar="PATH=VALUE", help="Override a field of the spec.")
]
Waivers = Annotated[
    Pairs, typer.Option("--waive", metavar="ITEM=REASON", help="Accept that an item is not met.")
]
Attestations = Annotated[
    Pairs,
    typer.Option(
        "--attest", metavar="STEP=STATEMENT", help="Say what was done for a declared step."
    ),
]
EvidenceFiles = Annotated[
    Pairs,
    typer.Option("--evidence", metavar="STEP=PATH", help="The file that shows an attested step."),
]
Implementer = Annotated[
    str | None,
    typer.Option(
        "--implement",
        metavar="CMD",
        help="Have this agent do what is open; scaffold: skillrun writes the job.",
    ),
]
ScaffoldDryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="With --implement scaffold: show the changes as a diff; write nothing."
    ),
]
Attempts = Annotated[int, typer.Option("--attempts", metavar="N", help="How often it is asked.")]
TimeLimit = Annotated[str, typer.Option("--time-limit", metavar="TIME", help="Of each attempt.")]
LastStage = Annotated[
    str | None, typer.Option("--until", metavar="STAGE", help="Stop after this stage.")
]
NewRun = Annotated[bool, typer.Option("--new-run", help="Start another run instead of resuming.")]
TrustCommands = Annotated[
    bool, typer.Option("--trust", help="Allow the repository's own commands to run.")
]
SkillPath = Annotated[
    Path | None,
    typer.Option("--skill", metavar="PATH", help="Use this SKILL.md or skills folder."),
]

"""The command line: each command reads its options and calls one function of `cli/commands/`,
imported when it runs.
"""

from __future__ import annotations

import inspect
import os
from copy import copy
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import CommandInfo

from skillrun import __version__
from skillrun.cli.ledger import ledger_app
from skillrun.cli.options import (
    AcksLate,
    AgentName,
    Attempts,
    Attestations,
    DryRun,
    EveryJob,
    EvidenceFiles,
    Handler,
    Implementer,
    Job,
    Json,
    LastStage,
    LedgerFile,
    NewRun,
    Overrides,
    Pairs,
    PytestFile,
    Repo,
    Run,
    ScaffoldDryRun,
    Schedule,
    SkillPath,
    Spec,
    StatementFile,
    TimeLimit,
    Trust,
    TrustCommands,
    User,
    Verbose,
    Waivers,
)

app = typer.Typer(
    name="skillrun",
    help=(
        "Makes a SKILL.md executable: stages that block, graded evidence, a ledger that remembers."
    ),
    epilog=(
        "`skillrun SKILL` is short for `skillrun run SKILL`. "
        "Exit codes: 0 success, 1 partial, 2 misuse, 3 blocked, 4 refused."
    ),
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},  # those of the commands, too
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
spec_app = typer.Typer(
    help="Write or check a job spec.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(spec_app, name="spec")
app.add_typer(ledger_app, name="ledger")

_INTERRUPTED = 130
COMPLETION = "_SKILLRUN_COMPLETE"


def invoke(arguments: list[str]) -> int:
    """Parses and runs; returns the exit code. Typer's own complaints become exit code 2."""
    words = frozenset(arguments)
    # A shell asks what may come next: its words are in the environment.
    if COMPLETION in os.environ:
        words = _list_names(app)
    try:
        code = make_parser(words & _list_names(app))(
            args=arguments, prog_name="skillrun", standalone_mode=False
        )
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _usage_error() as complaint:
        complaint.show()
        return 2
    if code == _INTERRUPTED:  # typer's own answer to Ctrl-C, in silence
        raise KeyboardInterrupt
    if not isinstance(code, int):
        return 0
    return code


@cache
def make_parser(words: frozenset[str]) -> Any:
    """Click's command, with the parameters of those that `words` name: to read all takes longer
    than most commands.

    The others can only be listed: no command runs whose name is not in the arguments.
    """
    return typer.main.get_command(_keep_commands(app, words))


def _list_names(of: typer.Typer) -> frozenset[str]:
    names = {info.name for info in of.registered_commands}
    for group in of.registered_groups:
        names |= {group.name, *(_list_names(group.typer_instance) if group.typer_instance else ())}
    found = set()
    for name in names:
        if isinstance(name, str):
            found.add(name)
    return frozenset(found)


def _keep_commands(of: typer.Typer, words: frozenset[str]) -> typer.Typer:
    """The same commands; those that `words` do not name take nothing and do nothing."""
    made = copy(of)
    made.registered_commands = []
    for info in of.registered_commands:
        # To build a command's parameters costs more than the rest of a start.
        kept = info
        if info.name not in words:
            kept = _without_parameters(info)
        made.registered_commands.append(kept)
    made.registered_groups = [copy(group) for group in of.registered_groups]
    for group in made.registered_groups:
        if group.typer_instance is not None:
            group.typer_instance = _keep_commands(group.typer_instance, words)
    return made


def _without_parameters(info: CommandInfo) -> CommandInfo:
    made = copy(info)
    made.help, made.callback = info.help or inspect.getdoc(info.callback), lambda: None
    return made


def _usage_error() -> Any:
    """The class of Click's UsageError, wherever this version of typer keeps click."""
    return typer.BadParameter.__base__


def _print_version(asked: bool) -> None:
    """Ends the command line where the version was asked for."""
    if asked:
        print(f"skillrun {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Takes the options that stand before a command."""


@app.command("run")
def run(
    skill: Annotated[str, typer.Argument(help="A skill's name, or the path of a SKILL.md.")],
    repo: Repo = Path(),
    spec: Spec = None,
    set_: Overrides = [],  # noqa: B006
    waive: Waivers = [],  # noqa: B006
    attest: Attestations = [],  # noqa: B006
    evidence: EvidenceFiles = [],  # noqa: B006
    implement: Implementer = None,
    dry_run: ScaffoldDryRun = False,
    attempts: Attempts = 3,
    time_limit: TimeLimit = "30m",
    until: LastStage = None,
    new_run: NewRun = False,
    trust: TrustCommands = False,
    skill_path: SkillPath = None,
    ledger: LedgerFile = None,
    verbose: Verbose = False,
    json: Json = False,
) -> int:
    """Run a skill on a job of a repository; the same command resumes."""
    from skillrun.cli.commands.run import run_skill

    return run_skill(
        skill,
        repo,
        spec,
        set_,
        waive,
        attest,
        evidence,
        until,
        new_run,
        trust,
        skill_path,
        ledger,
        json,
        implement=(implement, attempts, time_limit),
        dry_run=dry_run,
        verbose=verbose,
    )


@app.command("list")
def list_(repo: Repo = Path(), json: Json = False) -> int:
    """List the skills that can be run here."""
    from skillrun.cli.commands.skills import list_skills

    return list_skills(repo, json)


@app.command("show")
def show(
    skill: Annotated[str, typer.Argument(help="A skill's name, or the path of a SKILL.md.")],
    repo: Repo = Path(),
    json: Json = False,
) -> int:
    """Show what a skill asks for and which stages a run would have."""
    from skillrun.cli.commands.skills import show_skill

    return show_skill(skill, repo, json)


@app.command("check")
def check(
    paths: Annotated[list[Path], typer.Argument(help="SKILL.md files, or folders that hold some.")],
    json: Json = False,
) -> int:
    """Check SKILL.md files against the format's rules."""
    from skillrun.cli.commands.skills import check_skills

    return check_skills(paths, json)


@app.command("rules")
def rules(
    library: Annotated[
        str | None, typer.Argument(help="A job library, e.g. celery (default: all).")
    ] = None,
    json: Json = False,
) -> int:
    """List what is looked for in a handler's code, and why."""
    from skillrun.cli.commands.rules import list_rules

    return list_rules(library, json)


@spec_app.command("init")
def spec_init(
    repo: Repo = Path(),
    set_: Annotated[
        Pairs, typer.Option("--set", metavar="PATH=VALUE", help="A field of the spec.")
    ] = [],  # noqa: B006
    handler: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="HANDLER",
            help="Draft it from a job of the code (skillrun jobs names them).",
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow the job's own tests to run, in a copy.")
    ] = False,
) -> int:
    """Write a job spec: asks for the fields, takes them from --set, or drafts them from the
    code.
    """
    from skillrun.cli.commands.spec import init

    return init(repo, set_, handler, trust)


@spec_app.command("check")
def spec_check(
    file: Annotated[
        Path | None, typer.Argument(help="The job spec (default: the only one in .skillrun/jobs/).")
    ] = None,
    repo: Repo = Path(),
    json: Json = False,
) -> int:
    """Check a job spec and name every violation."""
    from skillrun.cli.commands.spec import check

    return check(file, repo, json)


@app.command("detect")
def detect(
    repo: Repo = Path(),
    write: Annotated[
        bool,
        typer.Option("--write", help="Write REPO_PROFILE.json; what it holds already is kept."),
    ] = False,
    json: Json = False,
) -> int:
    """Say which job framework is in use, and which commands the repository declares."""
    from skillrun.cli.commands.detect import detect

    return detect(repo, write, json)


@app.command("jobs")
def jobs(repo: Repo = Path(), ledger: LedgerFile = None, json: Json = False) -> int:
    """List the jobs of the repository, those first that could cost most; runs nothing."""
    from skillrun.cli.commands.jobs import list_jobs

    return list_jobs(repo, ledger, json)


@app.command("prove")
def prove(
    handler: Handler = None,
    repo: Repo = Path(),
    spec: Spec = None,
    set_: Annotated[
        Pairs, typer.Option("--set", metavar="PATH=VALUE", help="Override a field of the spec.")
    ] = [],  # noqa: B006
    schedule: Schedule = None,
    pytest: PytestFile = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List boundaries and schedules; run none of them.")
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Repeat some schedules with a real worker.")
    ] = False,
    intoto: StatementFile = None,
    all_: EveryJob = False,
    acks_late: AcksLate = False,
    trust: Trust = False,
    verbose: Verbose = False,
    json: Json = False,
) -> int:
    """Prove a handler by fault injection, or show how it fails."""
    from skillrun.cli.commands.prove import Asked
    from skillrun.cli.commands.prove import prove as run_proof

    if all_:
        from skillrun.cli.commands.prove_all import check_alone, prove_all

        check_alone(handler, spec, set_, schedule, pytest, list_, confirm, intoto)
        return prove_all(repo, trust, acks_late=acks_late, json=json)
    asked = Asked(schedule, pytest, list_, confirm, verbose, acks_late, intoto)
    return run_proof(repo, spec, set_, asked, trust, json, handler=handler)


@app.command("baseline")
def baseline(repo: Repo = Path(), trust: Trust = False) -> int:
    """Write down what is wrong with the jobs today: only what is new fails."""
    from skillrun.cli.commands.baseline import keep_baseline

    return keep_baseline(repo, trust)


@app.command("verify")
def verify(
    repo: Repo = Path(),
    ci: Annotated[
        bool, typer.Option("--ci", help="For a pipeline: consent is given, nothing asks.")
    ] = False,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REF", help="The branch to compare HEAD with.")
    ] = None,
    format_: Annotated[
        Pairs,
        typer.Option(
            "--format",
            metavar="NAME",
            help="text, json, sarif, junit, intoto or markdown; several times.",
        ),
    ] = [],  # noqa: B006
    output: Annotated[
        list[Path],
        typer.Option("--output", metavar="FILE", help="Where the format of the same place goes."),
    ] = [],  # noqa: B006
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow the repository's own code to run.")
    ] = False,
) -> int:
    """Do everything again for the committed specs, trusting nothing."""
    from skillrun.cli.commands.verify import verify as run_verification

    return run_verification(repo, base, format_, output, trust, ci=ci)


@app.command("lint")
def lint_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Job specs and Python files.")
    ],
    repo: Repo = Path(),
) -> int:
    """Say what is wrong for certain in these files, before a commit."""
    from skillrun.cli.commands.lint import lint_files

    return lint_files(files, repo)


@app.command("comment")
def comment_on_request(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What verify --format json has written.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the Markdown, and ask nobody.")
    ] = False,
) -> int:
    """Write a verification as the one comment of its pull request."""
    from skillrun.cli.commands.comment import write_comment

    return write_comment(file, dry_run)


@app.command("trust")
def trust(
    repo: Repo = Path(),
    agents: Annotated[
        bool, typer.Option("--agents", help="Let agents say --trust in this working tree.")
    ] = False,
    agent_waivers: Annotated[
        bool, typer.Option("--agent-waivers", help="Let agents waive items in this working tree.")
    ] = False,
    scripts: Annotated[
        bool,
        typer.Option("--scripts", help="Let CI and scripts attest here what only a person can."),
    ] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take back all that was allowed here.")
    ] = False,
) -> int:
    """Allow the code of this working tree to run; a person's to say."""
    from skillrun.cli.commands.trust import trust

    return trust(repo, agents=agents, agent_waivers=agent_waivers, scripts=scripts, revoke=revoke)


@app.command("status")
def status(
    repo: Repo = Path(),
    job: Job = None,
    run: Run = None,
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Say where the run stands, and what has gone stale."""
    from skillrun.cli.commands.status import status

    return status(repo, job, run, ledger, json)


@app.command("why")
def why(
    stage: Annotated[str, typer.Argument(help="A stage, e.g. idempotency.")],
    repo: Repo = Path(),
    job: Job = None,
    run: Run = None,
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Say why a stage stands as it does, and which file made it stale."""
    from skillrun.cli.commands.status import why

    return why(stage, repo, job, run, ledger, json)


@app.command("next")
def next_(
    repo: Repo = Path(),
    job: Job = None,
    run: Run = None,
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Say what to do next."""
    from skillrun.cli.commands.status import next_steps

    return next_steps(repo, job, run, ledger, json)


@app.command("mcp")
def mcp() -> int:
    """Serve the Model Context Protocol on standard input and output: the same commands, as
    tools.
    """
    from skillrun.cli.commands.mcp import serve

    return serve()


@app.command("hook")
def hook(
    agent: Annotated[
        str, typer.Argument(help="claude, codex, cursor, copilot, gemini, antigravity, opencode.")
    ],
    event: Annotated[str, typer.Argument(help="stop, or pre-tool.")],
) -> int:
    """Answer an agent's hook: JSON in, JSON out. `skillrun install` sets it up."""
    from skillrun.agents.hooks.entry import main

    return main([agent, event])


@app.command("install")
def install(
    agent: AgentName,
    repo: Repo = Path(),
    user: User = False,
    dry_run: DryRun = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="SOURCE",
            help=(
                "github-actions: where the workflow installs skillrun from;"
                " git+https://HOST/PATH@COMMIT, an https "
                "archive with #sha256=DIGEST, or a path in the repository."
            ),
        ),
    ] = None,
) -> int:
    """Set skillrun up for a coding agent or for github-actions."""
    from skillrun.cli.commands.install import install

    return install(agent, repo, user, dry_run, source)


@app.command("uninstall")
def uninstall(
    agent: AgentName, repo: Repo = Path(), user: User = False, dry_run: DryRun = False
) -> int:
    """Take back what an install has added."""
    from skillrun.cli.commands.install import uninstall

    return uninstall(agent, repo, user, dry_run)


@app.command("doctor")
def doctor(repo: Repo = Path(), json: Json = False) -> int:
    """Say what works here: agents, their hooks, and what a proof needs."""
    from skillrun.cli.commands.doctor import doctor

    return doctor(repo, json)


@app.command("demo")
def demo() -> int:
    """Watch a small Celery shop go from blocked to success."""
    import sys

    from skillrun.cli.demo import run_demo

    return run_demo(sys.stdout)

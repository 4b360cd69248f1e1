"""Stage 9: the repository's own lint, type check, tests and build, run with consent, and nothing
left behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import (
    Action,
    Evidence,
    Finding,
    Grade,
    Severity,
    StageResult,
    Status,
    status_of,
)
from skillrun.runner.case import wait_for_consent
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, error, note
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.named import find_tests
from skillrun.skills.job_worker.readings.own_tests.pytest_command import TESTS, pytest_command
from skillrun.validations.consent import CommandPlan

if TYPE_CHECKING:
    from skillrun.repo.commands import CommandFact
    from skillrun.validations.run import CommandResult

ID = "validate"
TITLE = "Run repo validations"
ANSWERS = wording(r"\bvalidations?\b|\brun\b.*\b(checks|lint)")
READS: tuple[str, ...] = ()
COSTLY = True

KINDS = ("lint", "typecheck", "test", "build")
# Lines that name a failure: "FAILED tests/test_tasks.py", "E   assert", "shop/tasks.py:7: error"
_TELLING = re.compile(
    r"^(FAILED|ERROR|E  )|\b(error|failed|failure|exception)\b|:\d+:", re.IGNORECASE
)
_NOISE = re.compile(r"^make(\[\d+\])?: ")
_SHOWN_LINES = 4
_SHOWN_COLUMNS = 160
_SHOWN_FILES = 10
_KEPT_CHARACTERS = 4000
_DEFAULT_LIMIT_S = 600.0
# What a command says where a program or a library is missing that another environment may have.
_MISSING = re.compile(r"No module named|Cannot find module|command not found|: not found\b")
_NOT_FOUND = 127
"""The shell's exit code where there is no such command (POSIX, XCU 2.8.2)."""


@dataclass(frozen=True)
class Validation:
    """One command of the repository and whose word it is."""

    kind: str
    command: str
    path: str
    line: int | None


def examine(case: JobCase) -> StageResult:
    """Asks for consent, then runs each command with a time limit. A command that fails is a
    finding, and so is one that changes tracked files.
    """
    case.profile  # noqa: B018 - a missing profile is a look-up too
    case.survey_section("commands")
    chosen, findings = plan(case)
    findings += _find_untested(case, chosen)
    if not chosen:
        findings.append(note("validate.none", "no validation command is declared, so none was run"))
        return _conclude(findings, {}, ())
    consent = consent_plan(chosen)
    if not case.consent(consent):
        return wait_for_consent(ID, consent, "run")
    case.tree.hash_everything()
    before = _read_tracked_state(case)
    results = dict(_run_commands(case, chosen))
    for validation in chosen:
        findings += _judge_result(validation, results[validation.kind], _find_named_python(case))
    findings += _find_changed_files(case, before)
    return _conclude(findings, results, chosen)


def plan(case: JobCase) -> tuple[list[Validation], list[Finding]]:
    """The commands to run and what is wrong with the declarations: the profile's word first, else
    what is declared.
    """
    profile = case.profile
    found = case.survey_everything().commands
    chosen: list[Validation] = []
    findings: list[Finding] = []
    required: set[str] = set()
    profile_commands: Mapping[str, Any] = {}
    if profile:
        required, profile_commands = set(profile.required_checks), profile.commands
    for kind in KINDS:
        said = profile_commands.get(kind)
        fact = getattr(found, kind)
        offer = None
        if said is None:
            offer = _find_offer(case, kind, fact)
        if said == "none" and fact is not None:
            findings.append(_tell_declared(kind, fact))
        elif said == "unknown":
            findings.append(_tell_unknown(case, kind, required=kind in required))
        elif said not in (None, "none"):
            chosen.append(Validation(kind, str(said), "REPO_PROFILE.json", None))
        elif offer is not None:
            # `make lint` may check types, too: it is run once.
            if all(one.command != offer.command for one in chosen):
                chosen.append(offer)
        elif kind in required:
            message = f"{kind} is a required check, and no command for it is known"
            hint = f"give commands.{kind} in REPO_PROFILE.json"
            findings.append(blocker("validate.required-missing", message, hint=hint))
    return chosen, findings


def _find_offer(case: JobCase, kind: str, fact: CommandFact | None) -> Validation | None:
    """The command that the repository declares, or pytest where tests are there and nobody says how
    to run them.
    """
    if fact is not None:
        return Validation(kind, fact.command, fact.path, fact.line)
    if kind == "test":
        return _offer_pytest(case)
    return None


def _tell_declared(kind: str, fact: CommandFact) -> Finding:
    """An error where the profile says that there is no command, and the repository has one."""
    message = (
        f'REPO_PROFILE.json says commands.{kind} is "none", and {fact.path}:{fact.line}'
        f" declares {fact.command}"
    )
    hint = f'set commands.{kind} to "{fact.command}"'
    return error("validate.none-but-declared", message, path="REPO_PROFILE.json", hint=hint)


def _find_untested(case: JobCase, chosen: list[Validation]) -> list[Finding]:
    """A blocker where tests are there, and nothing says how to run them: that is an open question,
    not a success.
    """
    said = None
    if case.profile:
        said = case.profile.commands.get("test")
    if said is not None or any(validation.kind == "test" for validation in chosen):
        return []
    tests = _list_test_files(case)
    if not tests:
        return []
    message = f"the repository has tests ({tests[0]}), and no command that runs them is declared"
    hint = (
        "say it in REPO_PROFILE.json: commands.test (skillrun detect --write begins one), or in a"
        " Makefile"
    )
    return [
        blocker(
            "validate.no-test-command",
            message,
            hint=hint,
            path=tests[0],
            recommends="personalize-repo",
        )
    ]


def _list_test_files(case: JobCase) -> list[str]:
    """The files that pytest would collect; of a job in another language, that language's tests."""
    if case.language is not None:
        return find_tests(case.tree, case.language)
    paths: list[str] = []
    for glob in TESTS:
        paths.extend(case.tree.match(glob))
    return paths


def _offer_pytest(case: JobCase) -> Validation | None:
    """pytest over the repository's tests, where the stage tests can run them: nobody needs to
    declare what is there.
    """
    tests = _list_test_files(case)
    if not tests or case.language is not None:
        return None
    command = pytest_command(case.root, _find_named_python(case))
    if command is None:
        return None
    return Validation("test", command, tests[0], None)


def _find_named_python(case: JobCase) -> str | None:
    """The interpreter that the spec's proof names."""
    if case.spec is None or case.spec.proof is None:
        return None
    return case.spec.proof.python


def _tell_unknown(case: JobCase, kind: str, *, required: bool) -> Finding:
    """A finding for an open question in the profile. It blocks where the answer matters: for a
    required check, and where tests are there.
    """
    message = f"REPO_PROFILE.json does not know commands.{kind}, so it was not run"
    hint = f"ask whoever knows, and write commands.{kind} (skill personalize-repo)"
    tests = []
    if kind == "test":
        tests = _list_test_files(case)
    if tests:
        message += f", and the repository has tests ({tests[0]})"
        known = None
        if case.language is None:
            known = pytest_command(case.root, _find_named_python(case))
        if known is None:
            hint += '; "none" is an answer, too'
        else:
            hint += f'; it may be "{known}"'
    if required or tests:
        return blocker("validate.unknown", message, hint=hint, path="REPO_PROFILE.json")
    return note("validate.unknown", message, hint=hint, path="REPO_PROFILE.json")


def consent_plan(chosen: list[Validation]) -> CommandPlan:
    """What a person agrees to: the commands."""
    commands = tuple(validation.command for validation in chosen)
    return CommandPlan("run the repository's own validations", commands)


def _run_commands(case: JobCase, chosen: list[Validation]) -> Iterator[tuple[str, CommandResult]]:
    """(kind, result) of each command, one after the other."""
    from skillrun.validations.run import run_validations

    limit_s = None
    if case.profile:
        limit_s = case.profile.validation_timeout
    if limit_s is None:
        limit_s = _DEFAULT_LIMIT_S
    say = case.on_output

    def say_start(kind: str, command: str) -> None:
        if say:
            say(f"{kind}: {command}")

    commands = {validation.kind: validation.command for validation in chosen}
    yield from run_validations(commands, case.root, limit_s, on_start=say_start, on_line=say)


def _judge_result(
    validation: Validation, result: CommandResult, named: str | None
) -> Iterator[Finding]:
    """An error where a command failed, with the lines that say most; a note where it left processes
    running.
    """
    if not result.ok:
        message = f"{validation.kind} failed ({result.words}): {validation.command}"
        last = telling_lines(result.tail)
        if last:
            message = f"{message}: {last}"
        yield error(
            f"validate.{validation.kind}-failed",
            message,
            path=validation.path,
            line=validation.line,
            hint=_hint_for(validation, result, named),
        )
    if result.survivors > 0:
        yield note(
            "validate.left-processes",
            f"{validation.kind} left {result.survivors} processes running; they were ended",
        )


def _hint_for(validation: Validation, result: CommandResult, named: str | None) -> str:
    """What to do about a command that failed. `named` is proof.python: the commands see the
    caller's PATH, and not that.
    """
    if result.exit_code != _NOT_FOUND and not _MISSING.search(result.tail):
        return f"run it yourself: {validation.command}"
    hint = (
        "it runs in your repository with your own PATH: install what is missing, or activate the"
        " environment that has it"
    )
    if named is not None:
        hint += f" (proof.python is {named})"
    return f"{hint}, and run the skill again"


def telling_lines(tail: str) -> str:
    """The lines of a failed command that say most, bounded: those that name a failure, else the
    last ones.
    """
    lines = []
    for line in tail.splitlines():
        if line.strip() and not _NOISE.match(line.strip()):
            lines.append(line.strip())
    telling = [line for line in lines if _TELLING.search(line)] or lines
    return " | ".join(line[:_SHOWN_COLUMNS] for line in telling[-_SHOWN_LINES:])


def _read_tracked_state(case: JobCase) -> Any:
    """The files as they are before the commands run."""
    from skillrun.repo.git import take_snapshot

    return take_snapshot(case.repo)


def _find_changed_files(case: JobCase, before: Any) -> list[Finding]:
    """An error for each file that the commands have changed."""
    from skillrun.repo.git import list_touched

    known = set(case.tree.files)
    changed = [path for path in list_touched(case.repo, before) if path in known]
    hint = "commit what it writes, ignore it, or use a command that only checks"
    findings = []
    for path in changed[:_SHOWN_FILES]:
        message = f"a validation changed {path}"
        findings.append(error("validate.changed-files", message, path=path, hint=hint))
    return findings


def _conclude(
    findings: list[Finding],
    results: Mapping[str, CommandResult],
    chosen: Sequence[Validation],
) -> StageResult:
    """The result of the stage. It does not apply where nothing was run and nothing is wrong."""
    status, grade = Status.NOT_APPLICABLE, None
    if results or findings_stop(findings):
        status = status_of(findings)
    if results:
        grade = Grade.EXECUTED
    steps = []
    for finding in findings:
        if finding.severity in (Severity.ERROR, Severity.BLOCKER):
            steps.append(Action(ID, "edit-code", finding.message))
    commands = {one.kind: {"command": one.command, "declared": one.path} for one in chosen}
    words = ", ".join(f"{kind} {result.words}" for kind, result in results.items())
    return StageResult(
        status=status,
        grade=grade,
        findings=tuple(findings),
        evidence=tuple(_show_command(kind, result) for kind, result in results.items()),
        next=tuple(steps),
        summary=words or "nothing is declared",
        facts={"commands": commands},
    )


def _show_command(kind: str, result: CommandResult) -> Evidence:
    """How a command ended, and the end of what it printed."""
    detail = {
        "kind": kind,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "timed_out": result.timed_out,
        "duration_ms": result.duration_ms,
        "tail": result.tail[-_KEPT_CHARACTERS:],
    }
    return Evidence(
        "command", result.command, result.output_sha256, result.output_size, None, detail
    )


def findings_stop(findings: list[Finding]) -> bool:
    """Whether any finding blocks or fails the stage."""
    return status_of(findings) != Status.PASSED

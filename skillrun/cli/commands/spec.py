"""`skillrun spec init | check`: writes a first job spec, or names everything that is wrong with
one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.common import pairs, print_json
from skillrun.core.errors import Blocked, SpecInvalid
from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.skills.job_worker.drafting.draft import Draft
    from skillrun.skills.job_worker.overview.handlers import FoundJob
    from skillrun.skills.job_worker.overview.rows import JobReader


def init(repo: Path, set_: list[str], handler: str | None = None, trust: bool = False) -> int:
    """Writes `.skillrun/jobs/<job>.yaml` from --set, from a handler of the code, or from answers on
    a terminal.
    """
    from skillrun.contract.spec_init import new_spec, values_from, write_spec
    from skillrun.repo.git import open_to_write
    from skillrun.skills.job_worker.stages.contract import spec_init_command

    root = open_to_write(repo).root
    if handler is not None:
        draft_from(repo, handler, values_from(pairs("--set", set_)), trust=trust)
        return 0
    if not set_:
        if not sys.stdin.isatty():
            raise Blocked("nobody is here to answer questions", hint=spec_init_command())
        if ask_for_spec(root):
            return 0
        return 3
    values = values_from(pairs("--set", set_))
    path = write_spec(root, new_spec(values), values)
    _say_written(path)
    return 0


def draft_from(repo: Path, name: str, given: dict[str, Any], *, trust: bool = False) -> Path:
    """Writes the drafted spec of a job that is there, and the rows that its tests begin with, where
    those may run. Raises Misuse for one that is not.
    """
    from skillrun.cli.commands.drafts import find_the_job
    from skillrun.cli.commands.jobs import open_reader
    from skillrun.cli.commands.unseen import ask_unseen
    from skillrun.contract.spec_init import write_spec
    from skillrun.skills.job_worker.drafting.annotated import write_annotated

    reader = open_reader(repo)
    job = find_the_job(reader, name)
    draft, beside = _draft(reader, job, trust, _find_python(given))
    draft.values.update(given)
    if sys.stdin.isatty() and sys.stdout.isatty():
        ask_unseen(draft, given)
    path = write_spec(reader.repo.root, write_annotated(draft), draft.values, beside)
    _say_written(path)
    _show_each("decide", draft.decisions)
    _show_each("guessed", draft.guesses)
    return path


def _show_each(label: str, said: list[str]) -> None:
    """A line for each, which goes on below its words where it is too long for a terminal."""
    from skillrun.reports.lines import line
    from skillrun.reports.watchers import watcher_for

    watcher = watcher_for(json=False)
    for one in said:
        words = visible(one, limit=300)
        watcher.show(line(2, ("bold", f"{label}: "), ("", words), hang=len(label) + 4))


def _find_python(given: dict[str, Any]) -> str | None:
    """The interpreter that a person names for the proof: the tests need the same packages."""
    python = given.get("proof.python", (given.get("proof") or {}).get("python"))
    return None if python is None else str(python)


def _draft(
    reader: JobReader, job: FoundJob, trust: bool, python: str | None
) -> tuple[Draft, dict[str, str]]:
    """The draft and the files that it names: with what the tests show, where somebody has allowed
    them to run, in the interpreter `python` where it is named; else from the code alone.
    """
    from skillrun.cli.commands.drafts import plan_tests
    from skillrun.reports.watchers import watcher_for
    from skillrun.skills.job_worker.drafting.draft import draft_spec
    from skillrun.skills.job_worker.drafting.watching import (
        add_fixture,
        draft_observed,
        plan_watching,
    )
    from skillrun.validations.consent import Gate

    watched = plan_watching(reader, job, python)
    plan = plan_tests(watched)
    if not plan.commands:
        return draft_spec(reader, job), {}
    if not Gate(reader.repo, trust, watcher_for(json=False)).allows(plan):
        print("  its tests were not run, which would show rows and messages: --trust allows it")
        return draft_spec(reader, job), {}
    draft, fixtures = draft_observed(reader, job, watched, guesses=False)
    if fixtures is None:
        return draft, {}
    name = f".skillrun/fixtures/{fixtures.name}"
    add_fixture(draft, fixtures, name)
    return draft, {name: fixtures.script}


def offer_draft(repo: Path) -> Path | None:
    """On a terminal, where the code has jobs: shows them, and drafts the spec of the one that is
    chosen; None where there are none, or none is chosen.
    """
    from skillrun.cli.commands.jobs import open_reader, read_document
    from skillrun.core.text import masked_json
    from skillrun.reports.job_lines import absence_lines, job_lines
    from skillrun.reports.watchers import watcher_for

    reader = open_reader(repo)
    document = masked_json(read_document(reader))
    watcher = watcher_for(json=False)
    if not document["jobs"]:
        # What is asked next describes a new one: a person has to know that none was found.
        for shown in absence_lines(document):
            watcher.show(shown)
        return None
    for shown in job_lines(document):
        watcher.show(shown)
    first = document["jobs"][0]["handler"]
    print("\nDraft the spec of which job? Its handler; - for none of them.")
    try:
        answer = _ask_for_job(reader, first)
    except (EOFError, KeyboardInterrupt):
        return None
    if answer == "-":
        return None
    return draft_from(repo, answer, {})


def _ask_for_job(reader: JobReader, first: str) -> str:
    """The name of a job that is there, or "-" for none of them; asks until it is one."""
    while True:
        answer = input(f"  handler [{visible(first)}]: ").strip() or first
        if answer == "-" or reader.find_job(answer) is not None:
            return answer
        print(f"  {visible(answer)}: no job is called so; one of the handlers above, or -")


def ask_for_spec(root: Path) -> Path | None:
    """Asks for the fields on the terminal and writes the spec; None where the person stops."""
    from skillrun.contract.spec_init import QUESTIONS, new_spec, write_spec

    print(
        "No job spec yet. A few questions; an empty answer takes the [default], or leaves the field"
        " open.\n"
    )
    values: dict[str, Any] = {}
    answers: dict[str, str] = {}
    try:
        for question in QUESTIONS:
            if question.when is None or answers.get(question.when[0]) == question.when[1]:
                _ask(question, values, answers)
    except (EOFError, KeyboardInterrupt):
        print("\nNothing was written.")
        return None
    path = write_spec(root, new_spec(values), values)
    _say_written(path)
    return path


def _ask(question: Any, values: dict[str, Any], answers: dict[str, str]) -> None:
    """Asks until the answer can be used; `answers` keeps the words, `values` what they stand
    for.
    """
    choices = ""
    if question.choices:
        choices = f" ({' | '.join(question.choices)})"
    default = ""
    if question.default:
        default = f" [{question.default}]"
    print(f"{question.question}{choices}\n  {question.why}")
    while True:
        answer = input(f"  {question.path}{default}: ").strip() or (question.default or "")
        if not answer and question.path == "job":
            continue
        try:
            if answer or question.form == "effects":
                _keep(question, answer, values)
                answers[question.path] = answer
            return
        except ValueError as error:
            print(f"  that cannot be used: {error}")


def _keep(question: Any, answer: str, values: dict[str, Any]) -> None:
    """Keeps an answer that the schema takes; ValueError with its words otherwise, so that it is
    asked again.
    """
    from skillrun.contract.spec import spec_violations
    from skillrun.contract.spec_init import nested

    value = question.value(answer)
    spec = nested({"version": 1, "job": "x", **values, question.path: value})
    for found in spec_violations(spec):
        if found.dotted() == question.path or found.dotted().startswith(f"{question.path}."):
            raise ValueError(f"{found.what}: {found.hint}")
    values[question.path] = value


def _only(repo: Path) -> Path:
    """Raises Misuse for several, Blocked for none."""
    from skillrun.core.errors import Blocked
    from skillrun.repo.git import open_repo
    from skillrun.runner.target import the_only_spec
    from skillrun.skills.job_worker.skill import SKILL

    found = the_only_spec(open_repo(repo), SKILL.spec)
    if found is None:
        raise Blocked(
            "there is no job spec in .skillrun/jobs/", hint="write one with: skillrun spec init"
        )
    return found


def _say_written(path: Path) -> None:
    print(
        f"{visible(str(path))}: written, with its schema beside it (an editor completes the fields)"
    )
    print("  next: skillrun job-worker-orchestration")


def check(given: Path | None, repo: Path, json: bool) -> int:
    """Validates a spec, the only one of the repository where none is named; every violation at
    once.
    """
    from skillrun.contract.spec import load_spec

    if given is not None:
        file = given
    else:
        file = _only(repo)
    try:
        spec = load_spec(file)
    except SpecInvalid as error:
        if not json:
            raise
        print_json({"valid": False, "violations": error.message.splitlines(), "hint": error.hint})
        return error.exit_code
    missing = list(list_missing(spec, file, repo))
    if json:
        print_json({"valid": not missing, "job": spec.job, "violations": missing})
    elif missing:
        for line in missing:
            print(visible(line, limit=400))
    else:
        print(f"{visible(str(file))}: valid (job {spec.job})")
    if missing:
        return SpecInvalid.exit_code
    return 0


def list_missing(spec: JobSpec, file: Path, repo: Path) -> Iterator[str]:
    """What the spec names and the code, or its own payload, does not have; nothing is said of a
    spec outside of a repository, nor of what cannot be told.
    """
    yield from _list_missing_keys(spec, file)
    if spec.proof is not None and not spec.examples:
        where = f"{file}:{spec.line('payload') or spec.line('proof')}"
        hint = "the first is what a proof delivers; of a job that takes nothing: examples: [{}]"
        yield f"{where}: payload.examples: there is none: {hint}"
    if spec.handler is not None:
        yield from _list_missing_handler(spec, spec.handler, file, repo)


def _list_missing_keys(spec: JobSpec, file: Path) -> Iterator[str]:
    """Fields of the key that no message has."""
    fields = (spec.payload or {}).get("properties")
    if spec.idempotency is None or not isinstance(fields, dict) or not fields:
        return
    for number, field in enumerate(spec.idempotency.key or ()):
        if field not in fields:
            where = f"{file}:{spec.line('idempotency', 'key', number)}"
            hint = f"one of {', '.join(fields)}"
            yield f"{where}: idempotency.key: the payload has no field {field}: {hint}"


def _list_missing_handler(spec: JobSpec, handler: str, file: Path, repo: Path) -> Iterator[str]:
    """A handler that its module does not have."""
    from skillrun.core.errors import RepoUnusable
    from skillrun.repo.git import open_repo
    from skillrun.repo.python import Project
    from skillrun.repo.tree import Tree
    from skillrun.skills.job_worker.readings.near_names import name_near

    try:
        # What reads jobs knows more than a name, and takes ten times as long to load.
        project = Project(Tree(open_repo(repo).root))
    except RepoUnusable:
        return
    module, _, name = handler.partition(":")
    path = project.locate(module, anywhere=True)
    # A module that is not there may be the one that is still to be written.
    is_read = path is not None and path not in project.broken
    if is_read and project.lookup(handler) is None:
        where = f"{file}:{spec.line('handler')}"
        hint = name_near(project, handler, f"correct handler:, or write {name} there")
        yield f"{where}: handler: {path} has no {name}: {hint}"

"""`skillrun spec init | check`: writes a first job spec, or names everything that is wrong with
one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from skillrun.cli.commands.common import pairs, print_json
from skillrun.core.errors import Blocked, SpecInvalid
from skillrun.core.text import visible


def init(repo: Path, set_: list[str]) -> int:
    """Writes `.skillrun/jobs/<job>.yaml` from --set, or from answers on a terminal."""
    from skillrun.contract.spec_init import new_spec, values_from, write_spec
    from skillrun.repo.git import open_to_write
    from skillrun.skills.job_worker.stages.contract import spec_init_command

    root = open_to_write(repo).root
    if not set_:
        if not sys.stdin.isatty():
            raise Blocked("nobody is here to answer questions", hint=spec_init_command())
        return 0 if ask_for_spec(root) else 3
    values = values_from(pairs("--set", set_))
    path = write_spec(root, new_spec(values), values)
    _say_written(path)
    return 0


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
    choices = f" ({' | '.join(question.choices)})" if question.choices else ""
    default = f" [{question.default}]" if question.default else ""
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

    found = the_only_spec(open_repo(repo))
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

    file = given if given is not None else _only(repo)
    try:
        spec = load_spec(file)
    except SpecInvalid as error:
        if not json:
            raise
        print_json({"valid": False, "violations": error.message.splitlines(), "hint": error.hint})
        return error.exit_code
    if json:
        print_json({"valid": True, "job": spec.job, "violations": []})
        return 0
    print(f"{visible(str(file))}: valid (job {spec.job})")
    return 0

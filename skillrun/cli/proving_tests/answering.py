"""The process that the plug-in asks: `python -m` with a request on standard input, and one JSON
document on standard output.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked, Refused, RepoUnusable, SkillrunError
from skillrun.core.tally import risk_words
from skillrun.core.text import masked, visible
from skillrun.reports.watchers import Silent
from skillrun.validations.consent import ONCE

if TYPE_CHECKING:
    from skillrun.cli.commands.drafts import Drafted
    from skillrun.proof.baseline import Compared, KnownCause
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.overview.rows import JobReader
    from skillrun.validations.consent import Question

_LONGEST = 160  # characters of what is said of one job


class SessionWatcher(Silent):
    """Whoever runs the tests of a repository runs its code, unconfined: the same code in a sandbox
    asks nothing more. The answer holds for this session, and is kept nowhere.
    """

    def may_run(self, question: Question) -> str | None:
        """Yes, for once."""
        return ONCE


@dataclass(frozen=True)
class ProofRequest:
    """One job, and what of its proof is wanted."""

    root: Path
    handler: str
    spec: str | None
    said: Mapping[str, Any]
    schedule: str | None
    typed: str  # what a person types to prove this job alone
    is_verbose: bool


def main() -> int:
    """Answers one request; what a person can mend is an answer, too."""
    request = json.load(sys.stdin)
    action = request.pop("do")
    # What code of ours prints is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        answer = _answer(action, request)
    except SkillrunError as error:
        said = " ".join(filter(None, (error.message, error.hint and f"({error.hint})")))
        text = visible(masked(said), limit=2 * _LONGEST)
        is_waiting = isinstance(error, Blocked) and action == "prove"
        answer = {"error": text, "is_misuse": True}
        if is_waiting:
            answer = {"word": "blocked", "says": text, "story": [], "notes": []}
    json.dump(answer, answers)
    return 0


def _answer(action: str, request: dict[str, Any]) -> dict[str, Any]:
    root = Path(request.pop("root"))
    if action == "list":
        return {"jobs": list(list_jobs(root, request["schedule"]))}
    return prove_job(ProofRequest(root=root, **request))


# -- which jobs


def list_jobs(root: Path, schedule: str | None) -> Iterator[dict[str, Any]]:
    """Every job with the tests that reach it. Raises Misuse for a schedule that is none."""
    from skillrun.cli.commands.jobs import open_reader
    from skillrun.proof.baseline import read_committed
    from skillrun.proof.schedule import parse_schedule
    from skillrun.skills.job_worker.overview.reaching_tests import find_reaching_tests

    if schedule is not None:
        parse_schedule(schedule)
    try:
        reader = open_reader(root)
    except RepoUnusable as error:
        raise Blocked(f"{root}: a proof needs a git repository", hint=error.message) from error
    # Read for what it may get wrong: the proofs would all fail over it.
    read_committed(reader.repo.root, reader.repo.head)
    if reader.unread_specs:
        path, why = reader.unread_specs[0]
        raise Blocked(f"{path}: {why}", hint="mend the spec")
    short_names = Counter[str]()
    for job in reader.jobs:
        short_names.update(_list_suffixes(job.handler.dotted))
    listed = set[str]()
    for job in reader.jobs:
        handler = job.handler
        names = filter(lambda name: short_names[name] == 1, _list_suffixes(handler.dotted))
        tests = find_reaching_tests(reader.project, job)
        listed.add(handler.import_path)
        yield _make_entry(reader, handler.import_path, names, tests)
    yield from _list_specs_alone(reader, listed)


def _list_specs_alone(reader: JobReader, listed: set[str]) -> Iterator[dict[str, Any]]:
    """Jobs that only a spec names: plain functions, and those of a library that is not read."""
    from skillrun.skills.job_worker.overview.reaching_tests import find_tests_of

    for path in sorted(reader.specs.keys() - listed):
        found = reader.project.find(path)
        if found is not None:
            yield _make_entry(reader, path, (), find_tests_of(reader.project, found))


def _make_entry(
    reader: JobReader, handler: str, names: Iterable[str], tests: Iterable[Place]
) -> dict[str, Any]:
    spec = reader.specs.get(handler)
    root = os.path.realpath(reader.repo.root)
    places = []
    for test in tests:
        places.append((os.path.join(root, test.path), test.text))  # noqa: PTH118
    return {
        "handler": handler,
        "names": [handler, handler.replace(":", "."), *names],
        "spec": spec.shown_path if spec else None,
        "tests": places,
    }


def _list_suffixes(dotted: str) -> list[str]:
    """`shop.tasks.send`: itself, `tasks.send` and `send`."""
    parts = dotted.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


# -- one of them


def prove_job(request: ProofRequest) -> dict[str, Any]:
    """Its verdict, with the story as lines. Raises what is refused, Blocked for what is missing."""
    from skillrun.cli.commands.job_proofs import prove_by_spec_or_tests
    from skillrun.proof.baseline import BASELINE, compare_causes, read_committed
    from skillrun.repo.git import open_repo

    repo = open_repo(request.root)
    root = repo.root
    baseline = read_committed(root, repo.head) or {}
    spec = None
    if request.spec is not None:
        spec = root / request.spec
    report, drafted = prove_by_spec_or_tests(
        request.root,
        request.handler,
        spec,
        SessionWatcher(),
        said=request.said,
        schedule=request.schedule,
    )
    _name_replays(report, request.typed)
    answer = {
        "word": report["verdict"],
        "says": _say_in_short(report, drafted),
        "story": list(_tell(report, request, drafted)),
        "notes": [],
    }
    # Of one schedule that somebody gives, the story is what was asked for.
    if request.schedule is None:
        compared = compare_causes(report, baseline.get(request.handler, frozenset()))
        _judge_by_baseline(answer, compared)
        if compared.new and _is_known_uncommitted(root, request.handler, compared.new):
            answer["notes"].append(f"{BASELINE} is not committed: that of HEAD counts")
    return answer


def _is_known_uncommitted(root: Path, handler: str, new: Iterable[KnownCause]) -> bool:
    """Whether the baseline of the working tree knows what HEAD's does not."""
    from skillrun.proof.baseline import read_baseline

    try:
        known = read_baseline(root).get(handler, frozenset())
    except Refused:
        return False
    return not known.isdisjoint(new)


def _judge_by_baseline(answer: dict[str, Any], compared: Compared) -> None:
    """What was known fails nothing; what is new is said first."""
    if compared.known and compared.holds:
        answer["word"] = "known"
        answer["says"] = f"no new causes; {len(compared.known)} known"
        # A line each: none of them may be cut off behind others.
        answer["notes"] += [f"known: {one.text}" for one in compared.known]
    elif compared.new and (compared.known or compared.paid):
        answer["says"] = f"new: {_name_causes(compared.new)}"
    elif compared.known:
        more = "as many causes as a proof names, all known: others may stand behind them"
        answer["says"] = f"{more}, so mend one of them"
    if compared.paid:
        said = f"paid off: {_name_causes(compared.paid)} (skillrun baseline forgets it)"
        answer["notes"].append(said)


def _name_causes(causes: Iterable[KnownCause]) -> str:
    return visible("; ".join(one.text for one in causes), limit=2 * _LONGEST)


def _name_replays(report: dict[str, Any], typed: str) -> None:
    """Each story again with one line, typed where the tests are."""
    for found in (*report["witnesses"], *report.get("risks", ())):
        found["replay"] = typed
        if not found["rule"].startswith("logs"):
            found["replay"] = f"{typed} --prove-schedule {shlex.quote(found['schedule'])}"


def _say_in_short(report: Mapping[str, Any], drafted: Drafted | None) -> str:
    """What stands behind the job's name in the summary."""
    for found in (*report["witnesses"][:1], *report["incomplete"][:1]):
        return visible(masked(str(found["message"])), limit=_LONGEST)
    whence = "by its spec"
    if drafted is not None:
        whence = "from its tests"
    count = report["schedules"]["total"]
    return f"{whence}, {count} schedules{risk_words(report.get('risks', ()))}"


def _tell(report: dict[str, Any], request: ProofRequest, drafted: Drafted | None) -> Iterator[str]:
    """One screen; everything for who wants more, and of one schedule."""
    from skillrun.reports.proof_screen import screen_lines
    from skillrun.reports.proofs import proof_lines

    if request.is_verbose or request.schedule is not None:
        lines = proof_lines(report)
    else:
        lines = screen_lines(report, request.typed, list(_list_guesses(drafted, request.said)))
    for shown in lines:
        yield shown.text.rstrip()


def _list_guesses(drafted: Drafted | None, said: Mapping[str, Any]) -> Iterator[str]:
    """What the draft took for granted, without what the marks say."""
    if drafted is None:
        return
    for guess in drafted.guesses:
        if not guess.startswith(tuple(said)):
            yield guess


if __name__ == "__main__":
    sys.exit(main())

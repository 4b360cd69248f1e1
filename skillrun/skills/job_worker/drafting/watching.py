"""A draft from code and tests: what to watch, and the files that the draft consists of."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.fixtures.watch import Watched, watch_tests
from skillrun.proof.packages import find_python
from skillrun.repo.places import is_test, is_test_module
from skillrun.skills.job_worker.drafting.draft import draft_spec, make_edges
from skillrun.skills.job_worker.drafting.edges import Position
from skillrun.skills.job_worker.drafting.hollow import HollowCalls
from skillrun.skills.job_worker.drafting.observed import (
    add_observed,
    choose_example,
    drop_handed_in,
)
from skillrun.skills.job_worker.drafting.parts import (
    find_body,
    find_parts,
    list_needed,
)
from skillrun.skills.job_worker.drafting.rows_of_others import add_rows_of_others, find_asked
from skillrun.skills.job_worker.drafting.sending import find_sender
from skillrun.skills.job_worker.drafting.variables import find_sample, read_sample, read_variables
from skillrun.skills.job_worker.overview.reaching_tests import find_reaching_tests

if TYPE_CHECKING:
    from skillrun.proof.fixtures.seen import SeenInTests
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.drafting.draft import Draft
    from skillrun.skills.job_worker.drafting.second_jobs import SecondJob
    from skillrun.skills.job_worker.overview.handlers import FoundJob
    from skillrun.skills.job_worker.overview.rows import JobReader


# A file that pytest, or Django's runner, takes for one of tests.

# Without them a client of AWS looks for those of the machine that it runs on.
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Fixtures:
    """The rows of a draft, as SQL: `name` is the file's."""

    name: str
    script: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.script.encode()).hexdigest()

    def add_rows(self, jobs: Iterable[SecondJob]) -> Fixtures:
        """With the rows that further jobs work on."""
        lines = [self.script]
        for job in jobs:
            lines += job.statements
        return replace(self, script="\n".join(lines))


def plan_watching(reader: JobReader, job: FoundJob, python: str | None = None) -> Watched:
    """Which tests are run, and what of them is watched. Nothing runs. Raises Blocked for no
    Python. `python`: the interpreter that a person names.
    """
    draft = draft_spec(reader, job)
    files = reader.tree.files
    tests = dict[str, None]()
    for place in find_reaching_tests(reader.project, job):
        tests[place.path] = None
    effects = []
    for effect in draft.values.get("effects", []):
        effects.append(effect["call"])
    return Watched(
        root=reader.repo.root,
        files=files,
        python=find_python(reader.repo.root, python),
        handler=(job.handler.path, job.handler.name),
        effects=tuple(effects),
        tests=tuple(tests),
        test_code=tuple(path for path in files if path.endswith(".py") and is_test(path)),
        paths=_find_roots(job),
        env=read_variables(reader.tree, _find_home(job, tuple(tests))),
        home=_find_home(job, tuple(tests)),
        parts=find_parts(reader.project, job.handler, list_needed(draft, job.handler)),
        others=tuple(path for path in files if is_test_module(path) and path not in tests),
        wrappers=_count_wrappers(reader.project, job),
    )


def _count_wrappers(project: Project, job: FoundJob) -> int:
    """How many of the handler's innermost decorators are the application's own: what is delivered
    comes to the outermost of them. The one that makes the job is the library's.
    """
    definition = job.handler
    found = 0
    for node in reversed(definition.decorators):
        if job.registered is not None and _makes_job(job.registered, definition, node):
            return found
        maker = node
        if isinstance(node, ast.Call):
            maker = node.func
        name = definition.module.resolve(maker)
        if name is None or project.definition(name) is None:
            return found
        found += 1
    return found


def _makes_job(registered: Place, definition: Definition, decorator: ast.expr) -> bool:
    last = decorator.end_lineno or decorator.lineno
    is_at = decorator.lineno <= registered.line <= last
    return registered.path == definition.path and is_at


def draft_observed(
    reader: JobReader,
    job: FoundJob,
    watched: Watched,
    watch: Callable[[Watched], SeenInTests] = watch_tests,
    *,
    guesses: bool = True,
    without: Collection[str] = (),
) -> tuple[Draft, Fixtures | None]:
    """The draft with all that the tests show, and the rows that they begin with. `guesses` False:
    what nobody has said stays a decision. `without`: tests whose messages are no example.
    """
    draft = draft_spec(reader, job)
    needed = list_needed(draft, job.handler)
    body = find_body(reader.project, job.handler)
    own = (job.handler.import_path, body)
    watched = _add_ways_out(draft, reader, watched, watch(watched), own)
    hollow = HollowCalls(make_edges(reader), body, draft.list_calls())
    seen = hollow.drop_from(watch(watched))
    needed = drop_handed_in(draft, seen, needed)
    ends = dict(seen.tests)
    for further in _list_further(reader, job, watched):
        if _shows_work(seen, needed):
            break
        shown = hollow.drop_from(watch(further))
        ends |= shown.tests
        # A message of which nothing more was seen is better than none.
        if _shows_work(shown, needed) or (shown.deliveries and not seen.deliveries):
            seen, watched = shown, further
    if choose_example(seen, needed) is None:
        asked = find_asked(reader.project, job.handler)
        message = _read_made_up(draft)
        made = add_rows_of_others(seen, ends, asked, message, without)
        if made.deliveries:
            seen = made
    _add_variables(draft, reader, watched)
    draft.opened = hollow.opened
    script = add_observed(draft, seen, reader.project, needed, guesses=guesses, without=without)
    if guesses:
        draft.guess_clock()
    draft.name_places()
    # The example may be another one now.
    draft.put_sender(find_sender(draft.values, job, reader.project))
    if script is None:
        return draft, None
    return draft, Fixtures(f"{draft.values['job']}.sql", script)


def _add_ways_out(
    draft: Draft,
    reader: JobReader,
    watched: Watched,
    seen: SeenInTests,
    own: tuple[str | None, ...],
) -> Watched:
    """What is to be watched, with the effects that the tests alone show: which function calls a
    client, where nobody can read whose method it is. Writes them into the draft. `own`: the
    functions that are the job.
    """
    edges = make_edges(reader)
    found = dict[str, str]()
    for delivery in seen.deliveries:
        for adapter, library in delivery.ways_out:
            is_edge = adapter not in own and edges.read(adapter).position is Position.EDGE
            path = library
            if is_edge:
                path = adapter
            if path and path not in watched.effects:
                found[path] = library
    for path, library in found.items():
        draft.add_effect(path, library, reader.project)
    return replace(watched, effects=(*watched.effects, *found))


def _add_variables(draft: Draft, reader: JobReader, watched: Watched) -> None:
    """Those with which the tests were run, and those without which a client asks its network who it
    is.
    """
    if reader.tree.search("boto3", ".py"):
        proof = draft.values.setdefault("proof", {})
        proof["env"] = {**_CREDENTIALS, **proof.get("env", {})}
    if not watched.env:
        return
    proof = draft.values.setdefault("proof", {})
    proof["env"] = {**watched.env, **proof.get("env", {})}
    name = find_sample(reader.tree)
    if watched.env != read_variables(reader.tree, watched.home) and name is not None:
        draft.guesses.append(f"proof.env: as {name} has it: without it the tests showed nothing")


def remember_watching() -> Callable[[Watched], SeenInTests]:
    """As `watch_tests`, where the same tests are looked at several times."""
    known: list[tuple[Watched, SeenInTests]] = []

    def watch(watched: Watched) -> SeenInTests:
        for one, seen in known:
            if one == watched:
                return seen
        known.append((watched, watch_tests(watched)))
        return known[-1][1]

    return watch


def _read_made_up(draft: Draft) -> dict[str, Any]:
    """The message as reading has it, of which rows say a part."""
    examples = draft.values.get("payload", {}).get("examples") or [{}]
    return dict(examples[0])


def _shows_work(seen: SeenInTests, needed: Iterable[str]) -> bool:
    example = choose_example(seen, needed)
    return example is not None and example.does_something


def _list_further(reader: JobReader, job: FoundJob, watched: Watched) -> Iterator[Watched]:
    """Where the job's own tests show no delivery: they once more with the variables of a sample,
    then those of what the handler calls, then all others, since a signal or a request may lead to
    it unseen.
    """
    sample = read_sample(reader.tree)
    if watched.tests and sample.keys() - watched.env.keys():
        yield replace(watched, env={**sample, **watched.env})
    of_parts = list_part_tests(watched)
    for tests in (of_parts, tuple(path for path in watched.others if path not in of_parts)):
        if tests:
            home = _find_home(job, tests)
            variables = read_variables(reader.tree, home)
            yield replace(watched, tests=tests, home=home, env=variables)


def list_part_tests(watched: Watched) -> tuple[str, ...]:
    """The test files that reach what the handler calls."""
    tests = dict[str, None]()
    for part in watched.parts:
        tests |= dict.fromkeys(part.tests)
    return tuple(tests)


def add_fixture(draft: Draft, fixtures: Fixtures, shown: str) -> None:
    """Names the file of the rows in the draft."""
    proof = draft.values.setdefault("proof", {})
    proof["fixture"] = {"file": shown, "sha256": fixtures.sha256}


def _find_home(job: FoundJob, tests: tuple[str, ...]) -> str:
    """Where the tests are run: a project in a folder of its own, with its tests, is
    at home there.
    """
    for root in _find_roots(job):
        if root != "." and tests and all(path.startswith(f"{root}/") for path in tests):
            return root
    return "."


def _find_roots(job: FoundJob) -> tuple[str, ...]:
    """The folder from which the handler is imported."""
    module = job.handler.module.name.replace(".", "/")
    path = job.handler.path
    for end in (f"{module}.py", f"{module}/__init__.py"):
        if path.endswith(end):
            return (path.removesuffix(end).rstrip("/") or ".",)
    return ()

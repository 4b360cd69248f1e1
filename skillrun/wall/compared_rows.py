"""The base's job and HEAD's over other rows than the examples' setup makes.

Where the base goes on as ever and HEAD does otherwise, a page ends too early, a list is full, a
text is cut, or a cent is lost. Held against HEAD is only what both sides do alike with the
example's own rows: all else that they do otherwise is seen without this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Finding, Severity
from skillrun.proof.changed_rows import ODD_CENTS
from skillrun.proof.history import History
from skillrun.proof.schedule import LATE_SWEEP
from skillrun.proof.worlds import BEGUN, CENTS, DONE, FOREIGN, GIVEN_UP, LONGER, MANY, MORE_ROWS
from skillrun.wall.comparing import (
    FAILED,
    add_not_compared,
    explain_not_comparing,
    is_code_changed,
    list_effects,
    name_end,
    read_requests,
)
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at, base_file, listed
from skillrun.wall.verification import Job, NotCompared

OTHERWISE = "verify.otherwise-with-rows"
HELP = {
    OTHERWISE: (
        "With other rows than the examples' setup makes (a thousand more of each table, or those"
        " that a thousand jobs have left; another text or amount in a column that is sent) the job"
        " does otherwise than the base's, though with the example's own rows both do the same."
    ),
}
_HINT = (
    "do with any rows what the base does with them; where it is meant, a person has to decide that"
)
_WORDS = {
    MANY: "with {rows} more rows in each table",
    DONE: "with the rows of {rows} other jobs that were done",
    GIVEN_UP: "with the rows of {rows} other jobs that were given up",
    BEGUN: "with the rows of {rows} other jobs that died before their first effect",
}
_WORDS_OF_COLUMN = {
    FOREIGN: "with a comma and letters of another language in {column}",
    LONGER: "with a longer text in {column}",
    CENTS: f"with {ODD_CENTS} cents in {{column}}",
}
_MOST_TOLD = 2
_WHAT = "what it does with other rows"

ObserveWorlds = Callable[[File], Mapping[str, list[History]] | None]
"""Runs a spec's job in each world, in a clean checkout of its side; None where nobody agreed that
it runs. Raises SkillrunError where it cannot be run.
"""
Facts = dict[str, object]
"""What a schedule came to: "the end" -> "done", "email's keys" -> ..."""


def judge_rows(
    job: Job, spec: File, diff: Diff, observe_base: ObserveWorlds, observe_head: ObserveWorlds
) -> Job:
    """The job, no success where it does otherwise than the base's with other rows. Costs nothing
    where no code changed, or the job fails anyway.
    """
    if not is_code_changed(diff):
        return job
    why = explain_not_comparing(job, spec, diff)
    if why is not None or job.proof is None:
        return add_not_compared(job, [NotCompared(_WHAT, why or "")])
    old = base_file(diff, spec)
    effects = [name for name in list_effects(old) if name in list_effects(spec)]
    found: dict[str, str] = {}
    # What one run does by chance is not what the next one does.
    for number in range(2):
        sides = _observe_sides(old, spec, observe_base, observe_head)
        if isinstance(sides, NotCompared):
            return add_not_compared(job, [sides])
        job = add_not_compared(job, _list_not_compared(*sides, spec))
        seen = dict(_find_differences(*sides, effects))
        shared = found.keys() & seen.keys()
        found = seen if number == 0 else {world: seen[world] for world in seen if world in shared}
        if not found:
            return job
    assert job.proof is not None
    told = list(found.items())[:_MOST_TOLD]
    findings = []
    for world, said in told:
        message = f"{_tell_world(world)} {said}"
        findings.append(Finding(OTHERWISE, Severity.ERROR, message, spec.path, 1, _HINT))
    proof = replace(job.proof, findings=(*job.proof.findings, *findings))
    return replace(job, proof=proof, outcome="partial")


def _tell_world(world: str) -> str:
    """`many/131`: "with 131 more rows in each table"; "": with the example's own rows."""
    kind, _, column = world.partition(":")
    if column:
        return _WORDS_OF_COLUMN[kind].format(column=quoted(column))
    kind, _, rows = kind.partition("/")
    if not kind:
        return "with the example's own rows, where its worker died and a sweep comes days later,"
    return _WORDS[kind].format(rows=rows or MORE_ROWS)


Worlds = Mapping[str, list[History]]


def _observe_sides(
    old: File, spec: File, observe_base: ObserveWorlds, observe_head: ObserveWorlds
) -> tuple[Worlds, Worlds] | NotCompared:
    """What the base's job and HEAD's came to in each world, or why one of them cannot be run."""
    try:
        before = observe_base(old)
        after = observe_head(spec) if before else None
    except SkillrunError as error:
        return NotCompared(_WHAT, error.message)
    if not before or not after:
        return NotCompared(_WHAT, "nobody agreed that it runs")
    return before, after


def _find_differences(
    before: Worlds, after: Worlds, effects: list[str]
) -> Iterator[tuple[str, str]]:
    """(world, what HEAD does otherwise there), a world once."""
    said_alone = _compare_late_sweeps(before[""], after[""])
    if said_alone is not None:
        yield "", said_alone
    for world, was in before.items():
        if not world or world not in after:
            continue
        sides = (before[""], after[""], was, after[world])
        for was_alone, is_alone, base, head in _match_schedules(*sides):
            said = _compare(was_alone, is_alone, base, head, effects)
            if said is not None:
                yield world, said
                break


def _compare_late_sweeps(before: list[History], after: list[History]) -> str | None:
    """What of a job that died, and that the base's sweeps bring back days later, HEAD's do not."""
    for base, head, *_ in _match_schedules(before, after, before, after):
        if not _is_swept(base) or base.hung is not None or head.hung is not None:
            continue
        was, now = name_end(base), name_end(head)
        if now == FAILED != was:
            return f"the job comes to the end {quoted(now)}, and at the base {quoted(was)}"
    return None


def _list_not_compared(before: Worlds, after: Worlds, spec: File) -> Iterator[NotCompared]:
    """Yields the worlds in which nothing was held against HEAD, or not all that could be."""
    if not before.keys() - {""}:
        yield NotCompared(
            _WHAT, "it has no store of SQLite or PostgreSQL that rows can be put into"
        )
        return
    if _has_sweep(spec) and not any(map(_is_swept, before[""])):
        why = "no death before an effect loses its message, or a clock alone starts the job"
        yield NotCompared("what its sweeps find", why)
    for world, was in before.items():
        # One reason is enough: a schedule that does not end keeps the next one from it, too.
        if world:
            is_run = _by_schedule(was).keys() <= _by_schedule(after.get(world, [])).keys()
            if not is_run:
                why = "HEAD's was not run over them: it has none, or does more for each"
                yield NotCompared(f"what it does {_tell_world(world)}", why)
            for four in _match_schedules(before[""], after[""], was, after.get(world, [])):
                silence = _explain_silence(*four)
                if silence is not None:
                    what = "what it does"
                    if _is_swept(four[0]):
                        what = "what its sweeps find"
                    yield NotCompared(f"{what} {_tell_world(world)}", silence)
                    break


def _has_sweep(spec: File) -> bool:
    """Whether HEAD's spec names a sweep or a relay."""
    if spec.new_document is None:
        return False
    value = spec.new_document.value
    return bool(listed(at(value, "recovers")) or at(value, "enqueue", "relay"))


def _is_swept(history: History) -> bool:
    return LATE_SWEEP in history.schedule.moves


def _explain_silence(
    was_alone: History, is_alone: History, base: History, head: History
) -> str | None:
    """Why nothing was held against HEAD in one schedule of a world; None where something was."""
    for whose, history in (("the base's", base), ("HEAD's", head)):
        if history.hung is not None:
            return f"{whose} did not end within a delivery's time"
    if name_end(was_alone) != name_end(base):
        return "the base itself comes to another end there"
    return None


_Four = tuple[History, History, History, History]


def _match_schedules(*sides: list[History]) -> Iterator[_Four]:
    """The histories of each schedule that all sides have run, whatever rows it met."""
    first, second, third, fourth = map(_by_schedule, sides)
    for name, history in first.items():
        if name in second and name in third and name in fourth:
            yield history, second[name], third[name], fourth[name]


def _by_schedule(histories: list[History]) -> dict[str, History]:
    return {str(replace(one.schedule, world=None)): one for one in histories}


def _compare(
    was_alone: History, is_alone: History, base: History, head: History, effects: list[str]
) -> str | None:
    """What HEAD does otherwise in a world, in one schedule; None where nothing, and where the base
    itself comes to another end there. The first two are of the example's own rows.
    """
    if _explain_silence(was_alone, is_alone, base, head) is not None:
        return None
    alike, here = _read_facts(was_alone, effects), _read_facts(base, effects)
    own, there = _read_facts(is_alone, effects), _read_facts(head, effects)
    for name, value in here.items():
        is_alike = name in alike and alike[name] == own.get(name)
        if is_alike and there.get(name) != value:
            return f"{name} {_show(there.get(name))}, and at the base {_show(value)}"
    return _compare_sweeps(was_alone, is_alone, base, head)


def _compare_sweeps(
    was_alone: History, is_alone: History, base: History, head: History
) -> str | None:
    """Which sweep finds other jobs, where the base's finds none, or none where it finds some. How
    many it takes at a time is its own: the others come with the next call.
    """
    found = [_count_swept(one) for one in (was_alone, is_alone, base, head)]
    was, now, at_base, at_head = found
    for call in was.keys() & now.keys() & at_base.keys() & at_head.keys():
        is_alike = was[call] == now[call]
        if is_alike and (at_base[call] > was[call]) != (at_head[call] > now[call]):
            return f"{quoted(call)} finds {at_head[call]} jobs, and at the base {at_base[call]}"
    return None


def _count_swept(history: History) -> dict[str, int]:
    """Sweep -> how many jobs it has published, and effects for others that it did itself."""
    counts: dict[str, int] = {}
    for swept in history.swept:
        counts[swept.call] = counts.get(swept.call, 0) + swept.messages + swept.effects
    return counts


def _read_facts(history: History, effects: list[str]) -> Facts:
    """The telling ones first."""
    facts: Facts = {"the job comes to the end": name_end(history)}
    for effect in effects:
        calls = history.performed(effect)
        facts[f"the calls of {effect} are"] = len(calls)
        facts[f"{effect} has the key"] = tuple(str(call["key"]) for call in calls)
        facts[f"{effect} is called with"] = tuple(str(call["args"]) for call in calls)
        for number, parts in enumerate(read_requests(history, effect), 1):
            for name, value in parts.items():
                facts[f"{effect} sends in request {number} as {quoted(name)}"] = value
    if history.swept:
        return facts  # what a sweep notes of the others depends on how many it takes at a time
    facts["the dead letters are"] = history.dead_letters
    for name, rows in history.state.items():
        facts[f"the state {name} is"] = repr(rows)
    return facts


def _show(value: object) -> str:
    if isinstance(value, tuple) and len(value) == 1:
        return quoted(str(value[0]))
    return quoted(str(value))

"""The jobs of a repository as lines for a person, from the document jobs.v1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skillrun.core.tally import count_things
from skillrun.reports.lines import VERDICT_STYLES, Line, format_place, line

# Of each kind; the others are counted, and --json has all.
_SHOWN = 3
_KEYED = {True: "keyed", False: "no key seen"}
_Value = Mapping[str, Any]


def job_lines(document: _Value, most: int | None = None) -> Iterator[Line]:
    """One job after the other, the costliest first, then what to type next. `most`: what fits on
    one screen.
    """
    for job in document["jobs"][:most]:
        yield _head_line(job)
        yield line(2, ("", f"{job['trigger']}; {job['policy']['words']}"), hang=4)
        yield line(2, *_effect_parts(job), hang=4)
        yield line(2, ("dim", _tell_evidence(job)), hang=4)
        for finding in job["certain"][:_SHOWN]:
            yield line(2, ("failed", f"{format_place(finding)}{finding['message']}"), hang=4)
    left = 0
    if most is not None:
        left = len(document["jobs"][most:])
    if left:
        yield line(0, ("dim", f"and {left} more: skillrun jobs"))
    for title in document["unread"]:
        yield line(0, ("blocked", f"{title}: in use here; skillrun cannot list its jobs yet"))
    yield from map(_tell_unread_spec, document["unread_specs"])
    yield from _closing_lines(document)


def absence_lines(document: _Value) -> Iterator[Line]:
    """That there is no job, and what would have been one."""
    yield line(0, ("bold", "no job was found here"))
    yield line(2, ("dim", f"looked for: {document['absence']['looked_for']}"), hang=4)


def note_lines(notes: Sequence[str]) -> Iterator[Line]:
    """Files that could not be read, in which there may be jobs."""
    for note in notes[:_SHOWN]:
        yield line(0, ("blocked", f"note: {note}"))
    if len(notes) > _SHOWN:
        more = len(notes) - _SHOWN
        yield line(0, ("dim", f"and {more} more files that could not be read: skillrun detect"))


def _tell_unread_spec(spec: _Value) -> Line:
    # It is no job without a spec: somebody wrote one, and it is not looked at.
    return line(0, ("failed", f"{spec['path']}: cannot be read: {spec['why']}"))


def _head_line(job: _Value) -> Line:
    verdict = job["verdict"]
    parts = [("bold", job["handler"]), ("dim", f"  {job['library']}  {job['path']}:{job['line']}")]
    if verdict is None:
        return line(0, *parts, ("dim", "  not proved yet"))
    words, style = verdict["verdict"], VERDICT_STYLES[verdict["verdict"]]
    # What is not known to hold any more has no colour that says so.
    if not verdict["believed"]:
        words, style = f"{words}, not recorded for you", "blocked"
    elif verdict["changed_since"]:
        words, style = f"{words}, changed since", "blocked"
    return line(0, *parts, (style, f"  {words}"))


def _effect_parts(job: _Value) -> Iterator[tuple[str, str]]:
    effects = job["effects"]
    if not effects:
        yield "dim", "no effect read outside its process"
        return
    between = ""
    for effect in effects[:_SHOWN]:
        style = ""
        if effect["money"] and not effect["keyed"]:
            style = "failed"
        yield style, f"{between}{_tell_effect(effect)}"
        between = ", "
    if len(effects) > _SHOWN:
        yield "", f" and {len(effects) - _SHOWN} more"


def _tell_effect(effect: _Value) -> str:
    notes = [effect["kind"]]
    if effect["money"]:
        notes.append("money")
    if effect["kind"] != "publish":
        notes.append(_KEYED[effect["keyed"]])
    if not effect["certain"]:
        notes.append("guessed")
    short = ".".join(effect["name"].split(".")[-2:])
    return f"{short} ({', '.join(notes)})"


def _tell_evidence(job: _Value) -> str:
    """Where it remembers, how many tests reach it, and whether reading was certain."""
    said = [_tell_memories(job["remembers"]), "no test reaches it"]
    if job["tests"]:
        said[1] = count_things(len(job["tests"]), "test")
    if job["spec"]:
        said.append(f"spec {job['spec']}")
    if job["not_read"]:
        said.append(f"{count_things(len(job['not_read']), 'construct')} not read")
    return "; ".join(said)


def _tell_memories(memories: Sequence[_Value]) -> str:
    """The tables that keep a job from being done twice; else what it writes besides."""
    once = [memory["what"] for memory in memories if memory["once"]]
    if once:
        return f"remembers in {_join_some(once)}"
    if memories:
        return f"writes {_join_some([memory['what'] for memory in memories])}"
    return "no table read"


def _join_some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f" and {len(names) - _SHOWN} more"
    return shown


def _closing_lines(document: _Value) -> Iterator[Line]:
    jobs = document["jobs"]
    if not jobs:
        yield from absence_lines(document)
        for way in document["absence"]["ways"]:
            yield line(2, ("", f"{way['case']}: "), ("dim", way["do"]), hang=4)
        yield line(2, ("dim", "skillrun detect says which job libraries are in use, and why"))
        return
    without = [job for job in jobs if job["spec"] is None]
    yield line(
        0, ("bold", f"{count_things(len(jobs), 'job')}, {len(jobs) - len(without)} with a spec")
    )
    if without:
        first = without[0]["handler"]
        if without[0]["tests"]:
            yield line(2, ("dim", f"try: skillrun prove {first}   its own tests are the fixtures"))
        yield line(2, ("dim", f"next: skillrun spec init --from {first}"))

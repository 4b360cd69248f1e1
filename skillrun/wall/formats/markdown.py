"""A verification as Markdown, for the summary of a pipeline and for a comment on a pull request.

It is made of the JSON document alone, so that whoever holds only the document shows the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from skillrun.core.markup import (
    block_markdown,
    cell_markdown,
    code_markdown,
    prose_html,
    prose_markdown,
)
from skillrun.core.tally import count_things, outcome_line, sum_reports
from skillrun.proof.baseline import KnownCause
from skillrun.proof.judgement import Verdict
from skillrun.wall.formats.document import document
from skillrun.wall.formats.uncompared import list_uncompared
from skillrun.wall.verification import Verification

_Value = Mapping[str, Any]

SUMMARY_MOST = 250_000
"""Characters of a step summary; GitHub takes a mebibyte, and a letter may be four bytes."""

# Stories told in full, the more of them the better; where all is too long, fewer.
_STORIES = (12, 4, 1, 0)
_FINDINGS_SHOWN = 10
_STEPS_SHOWN = 60
_TITLES = {
    "success": "every job is proved as its spec asks",
    "known": "nothing is wrong that was not known",
    "partial": "something is wrong, or open",
    "blocked": "something is missing",
    "refused": "a job could not be run at all",
}
_MARKS = {"success": "✅", "known": "☑", "partial": "❌", "blocked": "⛔", "refused": "⛔"}
_STOPS = ("blocker", "error")
_CUT = "\n\nThe rest is cut off: `skillrun verify` tells all of it.\n"


def markdown(verification: Verification) -> str:
    """For a step summary."""
    return write_markdown(document(verification), SUMMARY_MOST)


def write_markdown(found: _Value, most: int) -> str:
    """At most so many characters of it: first fewer stories are told in full, then it is cut."""
    text = ""
    # A list that is cut in its middle looks like the whole: fewer stories come first.
    for stories in _STORIES:
        text = "\n".join(_list_blocks(found, stories)) + "\n"
        if len(text) <= most:
            return text
    end = text.rfind("\n\n", 0, most - len(_CUT))
    return text[: max(end, 0)] + _CUT


def _list_blocks(found: _Value, stories: int) -> Iterator[str]:
    """Paragraphs, lists and tables, each with an empty line behind it."""
    yield from _head_blocks(found)
    yield _job_table(found["jobs"])
    left = stories
    for job in found["jobs"]:
        for story in _list_open_stories(job):
            yield from _story_blocks(job, story, is_full=left > 0, is_open=left == stories)
            left -= 1
    yield from _change_blocks(found)
    for job in found["jobs"]:
        yield from _open_blocks(job)
    yield from _note_blocks(found)


def _head_blocks(found: _Value) -> Iterator[str]:
    outcome = found["outcome"]
    yield f"### {_MARKS[outcome]} skillrun: {_write_title(found)}\n"
    gaming = found["gaming"]
    against = "no base to compare it with"
    if gaming["base"] is not None:
        against = f"compared with {_name_commit(gaming['base_name'], gaming['base'])}"
    seconds = found["duration_ms"] / 1000
    commit = code_markdown(found["commit"][:12])
    counted = outcome_line(sum_reports(outcome, found["jobs"]))
    if counted != outcome:
        yield f"{prose_markdown(counted)}\n"
    yield f"Commit {commit} from a clean checkout, {against}; {seconds:.0f} s.\n"


def _write_title(found: _Value) -> str:
    """How many jobs are refuted, where that is what is wrong."""
    jobs, refuted = found["jobs"], 0
    # One whose causes the base's baseline knows is refuted as well, and its outcome says so.
    for job in jobs:
        refuted += (
            job["outcome"] == "partial" and (job["proof"] or {}).get("verdict") == Verdict.REFUTED
        )
    if refuted and found["outcome"] == "partial":
        return f"{refuted} of {count_things(len(jobs), 'job')} refuted"
    return _TITLES[found["outcome"]]


def _name_commit(name: str | None, commit: str) -> str:
    if name is None:
        return code_markdown(commit[:12])
    return f"{code_markdown(name)} at {code_markdown(commit[:12])}"


# -- the jobs


def _job_table(jobs: Iterable[_Value]) -> str:
    rows = ["| job | outcome | its proof | at the base |", "|---|---|---|---|"]
    for job in jobs:
        proof = job["proof"] or {"verdict": "not asked", "base": None}
        base = proof["base"]
        at_base = "not tried"
        if base is not None:
            at_base = base["verdict"]
        outcome = f"{_MARKS[job['outcome']]} {prose_markdown(outcome_line(job))}"
        cells = (code_markdown(job["job"]), outcome, proof["verdict"], at_base)
        rows.append(f"| {' | '.join(map(cell_markdown, cells))} |")
    return "\n".join(rows) + "\n"


def _list_open_stories(job: _Value) -> list[_Value]:
    """Without those of risks that a person has accepted."""
    accepted = set()
    for risk in job["risks"]:
        if risk["accepted"] is not None:
            accepted.add(risk["rule"])
    found = []
    for story in job.get("stories", ()):
        if story["grade"] is None or story["rule"] not in accepted:
            found.append(story)
    return found


def _story_blocks(job: _Value, story: _Value, *, is_full: bool, is_open: bool) -> Iterator[str]:
    """One refutation or risk: what is wrong, each step, and the line that replays it."""
    kind = "refuted"
    if story["grade"] is not None:
        kind = f"risk of grade {story['grade']}"
    title = f"<b>{prose_html(job['job'])}</b>, {kind}: {prose_html(story['message'])}"
    opened = " open" if is_open else ""
    yield f"<details{opened}><summary>{title}</summary>\n"
    if story["cause"]:
        yield f"**Cause:** {prose_markdown(story['cause'])}\n"
    if story["expected"] or story["seen"]:
        expected, seen = prose_markdown(story["expected"]), prose_markdown(story["seen"])
        yield f"**Expected:** {expected}. **Seen:** {seen}.\n"
    if is_full:
        yield "\n".join(_list_steps(story["steps"])) + "\n"
    yield "See it happen:\n"
    yield block_markdown(story["replay"], "sh") + "\n"
    yield "</details>\n"


def _list_steps(steps: Sequence[_Value]) -> Iterator[str]:
    """A numbered list; who did it is said where that changes."""
    process = None
    for number, step in enumerate(steps[:_STEPS_SHOWN], 1):
        said = prose_markdown(step["text"])
        if step["fault"]:
            said = f"**fault: {said}**"
        if step["process"] != process:
            process = step["process"]
            said = f"_{_name_process(step)}_: {said}"
        place = ""
        if step["path"]:
            place = f" — {code_markdown(_format_place(step))}"
        yield f"{number}. {said}{place}"
    if len(steps) > _STEPS_SHOWN:
        yield f"\n{len(steps) - _STEPS_SHOWN} more steps: the command below tells them."


def _name_process(step: _Value) -> str:
    if not step["process"]:
        return "at the end"
    return f"{prose_markdown(step['process'])}, after {step['at_s']:.0f} s"


def _format_place(found: _Value) -> str:
    if not found["line"]:
        return str(found["path"])
    return f"{found['path']}:{found['line']}"


# -- what the branch changed


def _change_blocks(found: _Value) -> Iterator[str]:
    """Everything that is otherwise than at the base: causes, evidence, tests."""
    lines = list(_list_changes(found))
    yield "#### Since the base\n"
    if not lines:
        lines = ["nothing takes evidence away, and no job is worse"]
    yield "\n".join(f"- {line}" for line in lines) + "\n"
    for job in found["jobs"]:
        name = code_markdown(job["job"])
        # A document that an older release wrote has no such key.
        for line in list_uncompared(job.get("not_compared", ())):
            yield f"Not compared with the base, {name}: {prose_markdown(line)}\n"


def _list_changes(found: _Value) -> Iterator[str]:
    gaming = found["gaming"]
    if gaming["base"] is None:
        yield f"not looked at: {prose_markdown(gaming['missing'] or 'there is no base')}"
    for job in found["jobs"]:
        yield from _list_causes(job)
    yield from _tell_findings(_choose(gaming["findings"], *_STOPS, "warning"))
    tests = found["tests"]
    if tests is not None:
        yield from _list_test_changes(tests)


def _list_causes(job: _Value) -> Iterator[str]:
    name = code_markdown(job["job"])
    proof = job["proof"]
    if proof is not None:
        for line in _tell_findings(_choose(proof["findings"], *_STOPS, "warning")):
            yield f"{name}: {line}"
    compared = job.get("baseline")
    if compared is None:
        return
    for key, word in (("new", "**new**"), ("known", "known"), ("paid", "paid off")):
        for cause in compared[key]:
            yield f"{name}: {word}: {prose_markdown(KnownCause(**cause).text)}"


def _list_test_changes(tests: _Value) -> Iterator[str]:
    head, base = tests["head"], tests["base"]
    if head is not None and base is not None and head["collected"] != base["collected"]:
        yield f"tests: {head['collected']} are collected, {base['collected']} at the base"
    yield from _tell_findings(_choose(tests["findings"], *_STOPS, "warning"))


# -- what else stands in the way


def _open_blocks(job: _Value) -> Iterator[str]:
    """What keeps the job from success and is told by no story."""
    lines = []
    if job["problem"] is not None:
        lines.append(f"refused: {prose_markdown(job['problem'])}")
        if job["hint"]:
            lines.append(f"to do: {prose_markdown(job['hint'])}")
    # A story says the same with more, and says it above.
    is_told = bool(job.get("stories"))
    for stage in job["stages"]:
        name = prose_markdown(stage["id"])
        findings = []
        for finding in _choose(stage["findings"], *_STOPS):
            if not (is_told and finding["rule"].startswith("proof.")):
                findings.append(finding)
        for line in _tell_findings(findings):
            lines.append(f"{name}: {line}")
        if not findings and stage["status"] == "pending":
            lines.append(f"{name}: pending: {prose_markdown(stage.get('summary') or '')}")
    if lines:
        yield f"#### Open in {code_markdown(job['job'])}\n"
        yield "\n".join(f"- {line}" for line in lines) + "\n"


def _choose(findings: Iterable[_Value], *severities: str) -> list[_Value]:
    return [finding for finding in findings if finding["severity"] in severities]


def _tell_findings(findings: Sequence[_Value]) -> Iterator[str]:
    """Each in one line, with its place, its rule and what to do; many are counted."""
    for finding in findings[:_FINDINGS_SHOWN]:
        place = ""
        if finding["path"]:
            place = f"{code_markdown(_format_place(finding))}: "
        said = f"{place}{prose_markdown(finding['message'])} ({code_markdown(finding['rule'])})"
        if finding["hint"]:
            said += f" — to do: {prose_markdown(finding['hint'])}"
        yield said
    if len(findings) > _FINDINGS_SHOWN:
        left = len(findings) - _FINDINGS_SHOWN
        yield f"and {count_things(left, 'more finding')}"


def _note_blocks(found: _Value) -> Iterator[str]:
    for note in found["notes"]:
        yield f"Note: {prose_markdown(note)}\n"
    version = prose_markdown(found["version"])
    yield f"skillrun {version}; {count_things(len(found['gaming']['looks']), 'look')} at the branch."

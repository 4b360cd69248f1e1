"""A proof's document as lines for a person; see proof/report.py for the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skillrun.reports.lines import Line, line

_STYLES = {"proved": "passed", "refuted": "failed", "incomplete": "blocked"}
_IN_FULL = 2  # stories; the others are told in a few lines
_LABEL = 15
_Value = Mapping[str, Any]


def proof_lines(report: _Value) -> Iterator[Line]:
    """Everything, the refutations and the verdict last: there a person looks first."""
    if report["schedules"]["total"]:
        yield from _tables(report)
        yield from _limits(report)
    yield from _given_lines(report)
    for number, witness in enumerate(report["witnesses"], 1):
        yield line(0)
        yield from witness_lines(
            witness, number, in_full=number <= _IN_FULL and not report["given"]
        )
    yield from _confirmed_lines(report)
    yield from _incomplete_lines(report)
    yield line(0)
    yield _verdict_line(report)


def _verdict_line(report: _Value) -> Line:
    words = {
        "proved": "within the bounds above, whatever happens is what one run would have done",
        "refuted": "the steps above show how",
        "incomplete": "what is named above keeps the proof from an answer",
    }
    verdict, said = report["verdict"], words[report["verdict"]]
    if report["given"] and verdict == "proved":
        return line(
            0,
            ("passed", "holds"),
            ("", f": {report['job']} under this one schedule; that is no proof"),
        )
    took = f"  ({report['duration_ms'] / 1000:.1f} s)" if report["duration_ms"] else ""
    return line(0, (_STYLES[verdict], verdict), ("", f": {report['job']}: {said}"), ("dim", took))


# -- tables


def _tables(report: _Value) -> Iterator[Line]:
    library = "" if report["library"] == "none" else f"  {report['library']}"
    yield line(0, ("bold", report["job"]), ("", f"  {report['handler']}"), ("dim", library))
    yield from _effect_lines(report["effects"])
    yield from _attempt_lines(report)
    if not report["given"]:
        yield from _log_lines(report["log_answers"])


def _effect_lines(effects: Sequence[_Value]) -> Iterator[Line]:
    if not effects:
        return
    width = max(len("effect"), *(min(len(e["name"]), 30) for e in effects))
    yield line(0)
    yield line(0, ("bold", f"{'effect':<{width}}  {'declared':<14}  {'observed':<14}"))
    for effect in effects:
        yield line(
            0,
            (
                "",
                (
                    f"{effect['name'][:30]:<{width}}  {effect['declared']:<14} "
                    f" {effect['observed']:<14}"
                ),
            ),
        )
        for word in ("repeated", "lost"):
            if effect[word]:
                yield line(2, ("dim", f"{word}: {'; '.join(effect[word])}"), hang=4)


def _attempt_lines(report: _Value) -> Iterator[Line]:
    attempts, delays = report["attempts"], report["delays"]
    yield line(0)
    seen = " and ".join(map(str, attempts["observed"])) or "not asked"
    crash = "; a death does not count" if attempts["unbounded_by_kills"] else ""
    declared = (
        "not declared" if attempts["declared"] is None else f"declared {attempts['declared']}"
    )
    yield _row("attempts", f"{declared}, observed {seen}{crash}")
    if delays["declared"] or delays["observed"]:
        most = "at most " if delays["jitter"] else ""
        told = (
            f"declared {most}{_seconds(delays['declared'])}, observed"
            f" {_seconds(delays['observed'])}"
        )
        yield _row(
            "delays",
            f"{told}{' (jitter at its longest)' if delays['jitter'] and delays['observed'] else ''}",
        )
    yield _row("dead letters", _dead_letter_words(report["dead_letters"]))


def _dead_letter_words(found: _Value) -> str:
    names = {
        "exhaustion": "after the last attempt",
        "permanent": "after a permanent error",
        "poison": "for poison",
    }
    told = [
        f"{' or '.join(map(str, found[key]))} {words}" for key, words in names.items() if found[key]
    ]
    return f"{found['declared'] or 'not declared'}: {', '.join(told) or 'none was counted'}"


def _log_lines(answers: Mapping[str, _Value]) -> Iterator[Line]:
    yield line(0)
    yield line(0, ("bold", "The logs answer"))
    for answer in answers.values():
        record = f"  {answer['record']}" if answer["record"] else ""
        by = {"no": "NO", "framework": "the library's own record"}.get(
            answer["by"], str(answer["by"])
        )
        yield line(
            2,
            ("", f"{answer['question']:<17} "),
            ("failed" if by == "NO" else "", by),
            ("dim", record),
            hang=20,
        )


def _seconds(values: Sequence[float]) -> str:
    return f"{', '.join(f'{value:g}' for value in values)} s" if values else "none"


def _row(label: str, text: str) -> Line:
    return line(0, ("bold", f"{label:<{_LABEL}}"), ("", text), hang=_LABEL)


# -- bounds and assumptions


def _limits(report: _Value) -> Iterator[Line]:
    yield line(0)
    yield line(0, ("bold", "Taken for granted"))
    for text in report["assumptions"]:
        yield line(2, ("", f"- {text}"), hang=4)
    yield line(0)
    yield _row("bounds", report["bounds"]["sentence"])
    families = ", ".join(
        f"{name} {count}" for name, count in report["schedules"]["families"].items()
    )
    yield _row("schedules", families)
    for family, why in report["skipped"].items():
        yield _row("not applicable", f"{family}: {why}")
    for family, count in report["cut"].items():
        yield _row(
            "left out", f"{count} more schedules of {family}: the number of schedules is limited"
        )
    for hint in report["hints"]:
        yield _row("hint", hint)


# -- a real worker


def _confirmed_lines(report: _Value) -> Iterator[Line]:
    if "confirmed" not in report:
        return
    yield line(0)
    yield line(0, ("bold", "With a real worker"))
    if not report["confirmed"]:
        yield line(2, ("dim", "no schedule that it could repeat"))
    for item in report["confirmed"]:
        style, word = {True: ("passed", "the same"), False: ("failed", "DIFFERS")}.get(
            item["agrees"], ("blocked", "not tried")
        )
        note = f"  {item['note']}" if item["note"] else ""
        yield line(2, (style, f"{word:<9}"), ("", f" {item['schedule']}"), ("dim", note), hang=12)


# -- stories


def _given_lines(report: _Value) -> Iterator[Line]:
    given = report["given"]
    if given is None:
        return
    yield line(0)
    yield line(0, ("bold", f"schedule  {given['schedule']}"))
    if not given["reached"]:
        yield line(
            2, ("blocked", "the job never came to where the fault was to happen; it came to:")
        )
        for boundary in given["boundaries"]:
            yield line(4, ("", boundary))
    yield from event_lines(given["events"])


def witness_lines(witness: _Value, number: int, *, in_full: bool) -> Iterator[Line]:
    """A refutation: what, why, expected against seen, the steps, and the command that runs it
    again.
    """
    yield line(
        0, ("failed", f"{number}. {witness['message']}"), ("dim", f"  [{witness['rule']}]"), hang=3
    )
    yield line(3, ("bold", "cause     "), ("", witness["cause"]), hang=13)
    if witness["expected"] or witness["seen"]:
        yield line(3, ("bold", "expected  "), ("", witness["expected"]), hang=13)
        yield line(3, ("bold", "seen      "), ("", witness["seen"]), hang=13)
    yield line(
        3, ("bold", "schedule  "), ("", witness["schedule"]), ("dim", _again(witness)), hang=13
    )
    if in_full:
        yield from event_lines(witness["events"])
    yield line(3, ("bold", "replay    "), ("", witness["replay"]), hang=13)


def _again(witness: _Value) -> str:
    return "" if witness["stable"] else f"  (unstable: seen again {witness['again']} times of 3)"


def event_lines(events: Sequence[_Value]) -> Iterator[Line]:
    """The steps, faults marked."""
    process = None
    for event in events:
        if event["process"] != process:
            process = event["process"]
            yield line(
                3,
                ("bold", event["process"] or "at the end"),
                ("dim", f"  at {_clock(event['at_s'])}" if process else ""),
            )
        place = f"  {event['path']}:{event['line']}" if event["path"] else ""
        mark, style = ("✗ ", "failed") if event["fault"] else ("  ", "")
        said = f"[FAULT] {event['text']}" if event["fault"] else event["text"]
        yield line(
            3, ("dim", f"{event['number']:>3}. "), (style, f"{mark}{said}"), ("dim", place), hang=10
        )


def _clock(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds:.0f} s"
    hours = f"{seconds % 86400 / 3600:.0f} h"
    return hours if seconds < 86400 else f"{seconds // 86400:.0f} d {hours}"


def _incomplete_lines(report: _Value) -> Iterator[Line]:
    if report["incomplete"]:
        yield line(0)
    for item in report["incomplete"]:
        yield line(0, ("blocked", f"incomplete: {item['message']}"), ("dim", f"  [{item['rule']}]"))
        if item["hint"]:
            yield line(2, ("dim", f"do: {item['hint']}"))


# -- what could be run


def plan_lines(report: _Value) -> Iterator[Line]:
    """For --list."""
    yield line(0, ("bold", f"{report['job']}: boundaries of the single run"))
    for boundary in report["boundaries"]:
        place = f"  {boundary['path']}:{boundary['line']}" if boundary["path"] else ""
        yield line(2, ("", f"{boundary['at']:<34} "), ("dim", f"{boundary['kind']}{place}"), hang=6)
    yield line(0)
    yield line(0, ("bold", "schedules"), ("", "  each can be given to --schedule"))
    for schedule in report["schedules"]:
        yield line(2, ("", schedule))
    yield line(0)
    yield _row(
        "families", ", ".join(f"{name} {count}" for name, count in report["families"].items())
    )
    for family, why in report["skipped"].items():
        yield _row("not applicable", f"{family}: {why}")
    yield from _incomplete_lines(report)

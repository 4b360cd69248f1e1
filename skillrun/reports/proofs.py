"""A proof's document as lines for a person; see proof/report.py for the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skillrun.core.tally import risk_words
from skillrun.proof.judgement import HOLDS, Verdict
from skillrun.reports.lines import VERDICT_STYLES, Line, line

# Stories; the others are told in a few lines.
_IN_FULL = 2
_LABEL = 15
# A screen has 24 lines: four risks of four lines, and five more of one.
_RISKS_IN_FULL, _RISKS_IN_SHORT = 4, 5
_RISK_STYLES = {"money": "failed", "lost": "failed"}
# Of an effect: with the two columns beside it, it fits on 80.
_WIDEST_NAME = 30
# Whether a real worker did the same.
_AGREEMENT = {True: ("passed", "the same"), False: ("failed", "DIFFERS")}
_NOT_TRIED = ("blocked", "not tried")
_ANSWERED_BY = {"no": "NO", "framework": "the library's own record"}
_Value = Mapping[str, Any]


def proof_lines(report: _Value) -> Iterator[Line]:
    """Everything, the refutations and the verdict last: there a person looks first."""
    if report["schedules"]["total"]:
        yield from _table_lines(report)
        yield from _limit_lines(report)
    yield from _given_lines(report)
    for number, witness in enumerate(report["witnesses"], 1):
        yield line(0)
        # Of a schedule that was given, the steps are shown above already.
        in_full = number <= _IN_FULL and not report["given"]
        yield from witness_lines(witness, number, in_full=in_full)
    yield from risk_lines(report.get("risks", ()))
    yield from _confirmed_lines(report)
    yield from _incomplete_lines(report)
    yield line(0)
    yield from _promise_lines(report["properties"])
    yield _verdict_line(report)


def _promise_lines(promises: _Value) -> Iterator[Line]:
    """One line, where the promises did not all come to the same."""
    by_verdict: dict[str, list[str]] = {}
    for name, promise in promises.items():
        by_verdict.setdefault(promise["verdict"], []).append(name.replace("_", " "))
    if len(by_verdict) > 1:
        said = (f"{', '.join(names)} {verdict}" for verdict, names in by_verdict.items())
        yield _labelled_line("promises", "; ".join(said))


def _verdict_line(report: _Value) -> Line:
    words = {
        Verdict.PROVED: "within the bounds above, whatever happens is what one run would have done",
        Verdict.REFUTED: "the steps above show how",
        Verdict.INCOMPLETE: "what is named above keeps the proof from an answer",
    }
    risks = risk_words(report.get("risks", ()))
    if report["verdict"] == HOLDS:
        what = f": {report['job']} under this one schedule; that is no proof{risks}"
        return line(0, ("passed", HOLDS), ("", what))
    verdict, said = report["verdict"], words[report["verdict"]]
    what = f": {report['job']}: {said}"
    if risks:
        what = f": {_count_schedules(report['schedules']['total'])}{risks}"
    took = ""
    if report["duration_ms"]:
        took = f"  ({report['duration_ms'] / 1000:.1f} s)"
    return line(0, (VERDICT_STYLES[verdict], verdict), ("", what), ("dim", took))


def _count_schedules(count: int) -> str:
    if count == 1:
        return "1 schedule"
    return f"{count} schedules"


# -- tables


def _table_lines(report: _Value) -> Iterator[Line]:
    library = ""
    if report["library"] != "none":
        library = f"  {report['library']}"
    yield line(0, ("bold", report["job"]), ("", f"  {report['handler']}"), ("dim", library))
    yield from _effect_lines(report["effects"])
    yield from _attempt_lines(report)
    if not report["given"]:
        yield from _log_lines(report["log_answers"])


def _effect_lines(effects: Sequence[_Value]) -> Iterator[Line]:
    if not effects:
        return
    width = len("effect")
    for effect in effects:
        width = max(width, min(len(effect["name"]), _WIDEST_NAME))
    yield line(0)
    yield line(0, ("bold", f"{'effect':<{width}}  {'declared':<14}  {'observed':<14}"))
    for effect in effects:
        name = effect["name"][:_WIDEST_NAME]
        cells = f"{name:<{width}}  {effect['declared']:<14}  {effect['observed']:<14}"
        yield line(0, ("", cells))
        for word in ("repeated", "lost"):
            if effect[word]:
                yield line(2, ("dim", f"{word}: {'; '.join(effect[word])}"), hang=4)


def _attempt_lines(report: _Value) -> Iterator[Line]:
    attempts, delays = report["attempts"], report["delays"]
    yield line(0)
    seen = " and ".join(map(str, attempts["observed"])) or "not asked"
    crash = ""
    if attempts["unbounded_by_kills"]:
        crash = "; a death does not count"
    declared = "not declared"
    if attempts["declared"] is not None:
        declared = f"declared {attempts['declared']}"
    yield _labelled_line("attempts", f"{declared}, observed {seen}{crash}")
    if delays["declared"] or delays["observed"]:
        yield _labelled_line("delays", _delay_words(delays))
    yield _labelled_line("dead letters", _dead_letter_words(report["dead_letters"]))


def _delay_words(delays: _Value) -> str:
    declared = _format_seconds(delays["declared"])
    if delays["jitter"]:
        declared = f"at most {declared}"
    words = f"declared {declared}, observed {_format_seconds(delays['observed'])}"
    # Other schedules have random waits at their shortest; what is shown here are the longest ones.
    if delays["jitter"] and delays["observed"]:
        words += " (jitter at its longest)"
    return words


def _dead_letter_words(found: _Value) -> str:
    names = {
        "exhaustion": "after the last attempt",
        "permanent": "after a permanent error",
        "poison": "for poison",
    }
    told = []
    for key, words in names.items():
        if found[key]:
            counts = " or ".join(map(str, found[key]))
            told.append(f"{counts} {words}")
    return f"{found['declared'] or 'not declared'}: {', '.join(told) or 'none was counted'}"


def _log_lines(answers: Mapping[str, _Value]) -> Iterator[Line]:
    yield line(0)
    yield line(0, ("bold", "The logs answer"))
    for answer in answers.values():
        record = ""
        if answer["record"]:
            record = f"  {answer['record']}"
        by = _ANSWERED_BY.get(answer["by"], str(answer["by"]))
        style = ""
        if by == "NO":
            style = "failed"
        question = f"{answer['question']:<17} "
        yield line(2, ("", question), (style, by), ("dim", record), hang=20)


def _format_seconds(values: Sequence[float]) -> str:
    if not values:
        return "none"
    listed = ", ".join(f"{value:g}" for value in values)
    return f"{listed} s"


def _labelled_line(label: str, text: str) -> Line:
    return line(0, ("bold", f"{label:<{_LABEL}}"), ("", text), hang=_LABEL)


# -- bounds and assumptions


def _limit_lines(report: _Value) -> Iterator[Line]:
    yield line(0)
    yield line(0, ("bold", "Taken for granted"))
    for text in report["assumptions"]:
        yield line(2, ("", f"- {text}"), hang=4)
    yield line(0)
    yield _labelled_line("bounds", report["bounds"]["sentence"])
    yield _labelled_line("schedules", _count_families(report["schedules"]["families"]))
    for family, why in report["skipped"].items():
        yield _labelled_line("not applicable", f"{family}: {why}")
    for family, count in report["cut"].items():
        what = f"{count} more schedules of {family}: the number of schedules is limited"
        yield _labelled_line("left out", what)
    for hint in report["hints"]:
        yield _labelled_line("hint", hint)


def _count_families(families: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in families.items())


# -- a real worker


def _confirmed_lines(report: _Value) -> Iterator[Line]:
    if "confirmed" not in report:
        return
    yield line(0)
    yield line(0, ("bold", "With a real worker"))
    if not report["confirmed"]:
        yield line(2, ("dim", "no schedule that it could repeat"))
    for item in report["confirmed"]:
        style, word = _AGREEMENT.get(item["agrees"], _NOT_TRIED)
        note = ""
        if item["note"]:
            note = f"  {item['note']}"
        yield line(2, (style, f"{word:<9}"), ("", f" {item['schedule']}"), ("dim", note), hang=12)


# -- stories


def _given_lines(report: _Value) -> Iterator[Line]:
    given = report["given"]
    if given is None:
        return
    yield line(0)
    yield line(0, ("bold", f"schedule  {given['schedule']}"))
    if not given["reached"]:
        what = "the job never came to where the fault was to happen; it came to:"
        yield line(2, ("blocked", what))
        for boundary in given["boundaries"]:
            yield line(4, ("", boundary))
    yield from event_lines(given["events"])


def witness_lines(witness: _Value, number: int, *, in_full: bool) -> Iterator[Line]:
    """A refutation: what, why, expected against seen, the steps, and the command that runs it
    again.
    """
    rule = f"  [{witness['rule']}]"
    yield line(0, ("failed", f"{number}. {witness['message']}"), ("dim", rule), hang=3)
    yield line(3, ("bold", "cause     "), ("", witness["cause"]), hang=13)
    if witness["expected"] or witness["seen"]:
        yield line(3, ("bold", "expected  "), ("", witness["expected"]), hang=13)
        yield line(3, ("bold", "seen      "), ("", witness["seen"]), hang=13)
    unstable = ("dim", _say_unstable(witness))
    yield line(3, ("bold", "schedule  "), ("", witness["schedule"]), unstable, hang=13)
    if in_full:
        yield from event_lines(witness["events"])
    yield line(3, ("bold", "replay    "), ("", witness["replay"]), hang=13)


def risk_lines(risks: Sequence[_Value]) -> Iterator[Line]:
    """Each with what happened, what closes it and its replay; many of them in a line each, so that
    all fit on a screen.
    """
    if not risks:
        return
    yield line(0)
    yield line(0, ("bold", "Risks"), ("dim", "  no promise of the spec covers them"))
    for risk in risks[:_RISKS_IN_FULL]:
        yield _risk_title(risk)
        yield line(4, ("bold", "happened  "), ("", risk["story"]), hang=14)
        yield line(4, ("bold", "close it  "), ("", risk["closes"]), hang=14)
        yield line(4, ("bold", "replay    "), ("", risk["replay"]), hang=14)
    shown = _RISKS_IN_FULL + _RISKS_IN_SHORT
    for risk in risks[_RISKS_IN_FULL:shown]:
        yield _risk_title(risk)
    if len(risks) > shown:
        yield line(2, ("dim", f"and {len(risks) - shown} more: --json has them all"))


def _risk_title(risk: _Value) -> Line:
    count = len(risk["schedules"])
    rules = ", ".join((risk["rule"], *risk.get("also", ())))
    named = f"  [{rules}]"
    if count > 1:
        named = f"  [{rules}, {_count_schedules(count)}]"
    style = _RISK_STYLES.get(risk["grade"], "pending")
    return line(2, (style, risk["grade"]), ("", f": {risk['message']}"), ("dim", named), hang=4)


def _say_unstable(witness: _Value) -> str:
    if witness["stable"]:
        return ""
    return f"  (unstable: seen again {witness['again']} times of 3)"


def event_lines(events: Sequence[_Value]) -> Iterator[Line]:
    """The steps, faults marked."""
    process = None
    for event in events:
        if event["process"] != process:
            process = event["process"]
            yield _process_line(event)
        place = ""
        if event["path"]:
            place = f"  {event['path']}:{event['line']}"
        step = ("", f"  {event['text']}")
        if event["fault"]:
            step = ("failed", f"✗ [FAULT] {event['text']}")
        yield line(3, ("dim", f"{event['number']:>3}. "), step, ("dim", place), hang=10)


def _process_line(event: _Value) -> Line:
    """The heading above the steps of a process; what no process did has none of its own time."""
    if not event["process"]:
        return line(3, ("bold", "at the end"), ("dim", ""))
    return line(3, ("bold", event["process"]), ("dim", f"  at {_format_clock(event['at_s'])}"))


def _format_clock(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds:.0f} s"
    hours = f"{seconds % 86400 / 3600:.0f} h"
    if seconds < 86400:
        return hours
    return f"{seconds // 86400:.0f} d {hours}"


def _incomplete_lines(report: _Value) -> Iterator[Line]:
    if report["incomplete"]:
        yield line(0)
    for item in report["incomplete"]:
        yield line(0, ("blocked", f"incomplete: {item['message']}"), ("dim", f"  [{item['rule']}]"))
        for label, said in next_of_incomplete(item):
            yield line(2, ("dim", f"{label}: {said}"))


def next_of_incomplete(reason: _Value) -> Iterator[tuple[str, str]]:
    """What to do about a reason, and how to see it again: label -> words."""
    for label, member in (("do", "hint"), ("replay", "replay")):
        if reason.get(member):
            yield label, reason[member]


# -- what could be run


def plan_lines(report: _Value) -> Iterator[Line]:
    """For --list."""
    yield line(0, ("bold", f"{report['job']}: boundaries of the single run"))
    for boundary in report["boundaries"]:
        place = ""
        if boundary["path"]:
            place = f"  {boundary['path']}:{boundary['line']}"
        yield line(2, ("", f"{boundary['at']:<34} "), ("dim", f"{boundary['kind']}{place}"), hang=6)
    yield line(0)
    yield line(0, ("bold", "schedules"), ("", "  each can be given to --schedule"))
    for schedule in report["schedules"]:
        yield line(2, ("", schedule))
    yield line(0)
    yield _labelled_line("families", _count_families(report["families"]))
    for family, why in report["skipped"].items():
        yield _labelled_line("not applicable", f"{family}: {why}")
    yield from _incomplete_lines(report)

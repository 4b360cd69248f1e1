"""A proof on one screen: the answer and its counts first, then what was found, each with the
shortest story and what to type. `proofs.py` has everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skillrun.core.tally import count_things, risk_words
from skillrun.reports.lines import VERDICT_STYLES, Line, line
from skillrun.reports.proofs import next_of_incomplete

_ANSWERS = {"yes": "passed", "already": "passed", "no": "failed"}
_RISK_STYLES = {"money": "failed", "lost": "failed"}
# A screen has 24 lines: two findings with their stories, and five more of a line each.
_IN_FULL, _IN_SHORT = 2, 3
_LANES = 5  # of a story: the fault is in one of the first
_LABEL = 8
_TURNS = {"performed": "●", "settled": "■", "raised": "!", "published": "→"}
_GUESSES = 5
# What makes everything below it worth little stands in the first line.
_HOLLOW = "effect.hollow"
_Value = Mapping[str, Any]

# What became of an effect under faults, where that is not what was meant.
_SEEN = {
    "exactly_once": "it took place exactly once",
    "keyed": "it took place again, under its key",
    "at_least_once": "it took place more than once",
    "at_most_once": "it got lost",
    "none": "it took place more than once, and it got lost",
}


def screen_lines(report: _Value, command: str, guesses: Sequence[str] = ()) -> Iterator[Line]:
    """At most five findings of a kind. `command` is what was typed, `guesses` what a draft took for
    granted.
    """
    if "acks_late" in report:
        asked = report["acks_late"]
        style = _ANSWERS.get(asked["answer"], "blocked")
        yield line(0, ("bold", "acks late? "), (style, asked["answer"]), ("", f": {asked['says']}"))
    yield _answer_line(report)
    yield from _rest_lines(report)
    yield from _wall_lines(report["sandbox"])
    yield from _guess_lines(guesses)
    for number, witness in enumerate(report["witnesses"][: _IN_FULL + _IN_SHORT], 1):
        yield from _witness_lines(witness, number)
    yield from _more_line(len(report["witnesses"]), "refutations")
    yield from _incomplete_lines(report["incomplete"])
    yield from _risk_lines(report.get("risks", ()), has_more_to_say=bool(report["witnesses"]))
    yield from _confirmed_lines(report)
    yield line(0, ("dim", f"{'more':<{_LABEL}}{command} -v"))


def _wall_lines(sandbox: _Value) -> Iterator[Line]:
    """What did not stand around the proof: its verdict rests on less."""
    for words in sandbox["missing"]:
        yield _labelled_line("walls", f"this machine gave the proof {words}")


def _answer_line(report: _Value) -> Line:
    verdict, count = report["verdict"], report["schedules"]["total"]
    what = f": {report['job']}: {count_things(count, 'schedule')}"
    refuted = len(report["witnesses"])
    if refuted:
        what += f", {count_things(refuted, 'refutation')}"
    what += risk_words(report.get("risks", ()))
    what += _hollow_words(report["incomplete"])
    took = ""
    if report["duration_ms"]:
        took = f"  ({report['duration_ms'] / 1000:.1f} s)"
    return line(0, (VERDICT_STYLES[verdict], verdict), ("", what), ("dim", took))


def _hollow_words(incomplete: Sequence[_Value]) -> str:
    """What took the place of the job's own work, for the end of the first line; "" where nothing
    did.
    """
    for one in incomplete:
        if one["rule"] == _HOLLOW:
            return f": {one['message']}"
    return ""


def _rest_lines(report: _Value) -> Iterator[Line]:
    """What was proved of, and how each effect really was."""
    # A plain callable has no library.
    library = report["library"].removeprefix("none")
    yield _labelled_line("job", f"{report['handler']}  {library}".rstrip())
    for effect in report["effects"]:
        declared = effect["declared"]
        if declared == "none":
            declared = "no guarantee"
        said = f"{effect['name']}: {declared}"
        if effect["observed"] not in (effect["declared"], "unknown"):
            said += f"; {_SEEN.get(effect['observed'], effect['observed'])}"
        yield _labelled_line("effect", said)
    attempts = report["attempts"]
    if attempts["observed"]:
        seen = " and ".join(map(str, attempts["observed"]))
        if attempts["unbounded_by_kills"]:
            seen += "; a worker that dies uses none up"
        yield _labelled_line("tries", seen)
    open_questions = []
    for answer in report["log_answers"].values():
        if answer["by"] == "no":
            open_questions.append(answer["question"])
    if open_questions:
        yield _labelled_line("logs", f"do not say: {', '.join(open_questions)}")


def _labelled_line(label: str, text: str) -> Line:
    return line(0, ("bold", f"{label:<{_LABEL}}"), ("", text), hang=_LABEL)


def _guess_lines(guesses: Sequence[str]) -> Iterator[Line]:
    for guess in guesses[:_GUESSES]:
        yield _labelled_line("guessed", guess)
    yield from _more_line(len(guesses), "guesses", _GUESSES)


def _more_line(count: int, what: str, shown: int = _IN_FULL + _IN_SHORT) -> Iterator[Line]:
    if count > shown:
        yield line(_LABEL, ("dim", f"and {count - shown} more {what}"))


# -- findings


def _witness_lines(witness: _Value, number: int) -> Iterator[Line]:
    title = f"{number}. {witness['message']}"
    unstable = ""
    if not witness["stable"]:
        unstable = f", seen again {witness['again']} times of 3"
    yield line(0, ("failed", title), ("dim", f"  [{witness['rule']}{unstable}]"), hang=3)
    if number > _IN_FULL:
        return
    yield from _lane_lines(witness["events"])
    place = _find_place(witness["events"])
    if place:
        yield _point_line("where", place)
    yield _point_line("cause", witness["cause"])
    yield _point_line("replay", witness["replay"])


def _point_line(label: str, text: str) -> Line:
    return line(3, ("bold", f"{label:<{_LABEL}}"), ("", text), hang=3 + _LABEL)


def _find_place(events: Sequence[_Value]) -> str:
    """The line where it was hit, else the last one that the story names."""
    place = ""
    for event in events:
        if not event["path"]:
            continue
        place = f"{event['path']}:{event['line']}"
        if event["fault"]:
            break
    return place


def _lane_lines(events: Sequence[_Value]) -> Iterator[Line]:
    """A row for each delivery, in order: ● effect, ✗ fault, ■ settled."""
    told = _list_lanes(events)
    for process, at_s, tokens in told[:_LANES]:
        parts = [("dim", f"{process or 'at the end':<11} {_tell_clock(at_s):>6}")]
        parts += [(style, f"  {text}") for style, text in tokens]
        yield line(3, *parts, hang=23)
    if len(told) > _LANES:
        yield line(3, ("dim", f"and {len(told) - _LANES} more deliveries"))


def _list_lanes(events: Sequence[_Value]) -> list[tuple[str, float, list[tuple[str, str]]]]:
    """(process, when it begins, its tokens). A process that did nothing of this has no row."""
    lanes: list[tuple[str, float, list[tuple[str, str]]]] = []
    for event in events:
        if not lanes or lanes[-1][0] != event["process"]:
            lanes.append((event["process"], event["at_s"], []))
        token = _make_token(event)
        if token is not None:
            lanes[-1][2].append(token)
    return [lane for lane in lanes if lane[2]]


def _make_token(event: _Value) -> tuple[str, str] | None:
    if event["fault"]:
        return "failed", f"✗ {event['text']}"
    mark = _TURNS.get(event.get("kind", ""))
    if mark is None:
        return None
    text = event["text"]
    if event["kind"] == "performed":
        text = text.partition(" takes place")[0]
    return "", f"{mark} {text}"


def _tell_clock(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _incomplete_lines(found: Sequence[_Value]) -> Iterator[Line]:
    for item in found[: _IN_FULL + _IN_SHORT]:
        said = f"incomplete: {item['message']}"
        yield line(0, ("blocked", said), ("dim", f"  [{item['rule']}]"), hang=2)
        for label, said in next_of_incomplete(item):
            yield _point_line(label, said)
    yield from _more_line(len(found), "reasons")


def _risk_lines(risks: Sequence[_Value], *, has_more_to_say: bool) -> Iterator[Line]:
    """What no promise of the spec covers."""
    # Where something is refuted, of the risks there are only the titles.
    in_full = _IN_FULL
    if has_more_to_say:
        in_full = 0
    for number, risk in enumerate(risks[: _IN_FULL + _IN_SHORT]):
        rules = ", ".join((risk["rule"], *risk.get("also", ())))
        style = _RISK_STYLES.get(risk["grade"], "pending")
        said = f": {risk['message']}"
        yield line(
            0, (style, f"risk, {risk['grade']}"), ("", said), ("dim", f"  [{rules}]"), hang=2
        )
        if number < in_full:
            yield from _lane_lines(risk["events"])
            yield _point_line("close", risk["closes"])
        # What nobody can replay is no evidence, and this one is to be accepted by name.
        if number < in_full or risk["grade"] in _RISK_STYLES:
            yield _point_line("replay", risk["replay"])
    yield from _more_line(len(risks), "risks")


def _confirmed_lines(report: _Value) -> Iterator[Line]:
    """Whether a real worker did the same."""
    if "confirmed" not in report:
        return
    agreed = sum(item["agrees"] is True for item in report["confirmed"])
    said = f"{agreed} of {count_things(len(report['confirmed']), 'schedule')} as a real worker did"
    yield _labelled_line("worker", said)
    for item in report["confirmed"]:
        if item["agrees"] is not True:
            word = "not tried"
            if item["agrees"] is False:
                word = "differs"
            yield line(
                _LABEL, ("failed", f"{word}: {item['schedule']}"), ("dim", f"  {item['note']}")
            )

"""Weaker promises in a job spec: guarantees, keys, windows, errors, retries, dead letters, or the spec itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from skillrun.contract.yamlpos import Document
from skillrun.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import Pair, at, listed, mapping, pairs, seconds, vanished

ID = "weaker-guarantee"
HELP = (
    "A job spec that promises less is easier to satisfy. Found: an effect that is gone, a weaker guarantee, fewer key "
    "fields, a shorter dedupe window, an invariant instead of a key, errors that are no longer declared, more "
    "attempts, no dead letter, looser backoff, another handler or adapter, and a spec that is gone."
)
_STRENGTH = {"transactional": 3, "keyed": 2, "at_least_once": 1, "at_most_once": 1}


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each promise that became weaker."""
    for pair in pairs(diff):
        yield from _subject(diff, pair)
        yield from _effects(pair)
        yield from _idempotency(pair)
        yield from _failures(pair)
        yield from _retry(pair)
        yield from _dead_letter(pair)
    for gone in vanished(diff):
        if gone.old_document is not None and _handler_is_gone(diff, gone.old_document):
            yield doubtful(ID, gone, 1, f"the job spec {gone.path} is gone, and its handler, too")
        else:
            message = f"the job spec {gone.path} is gone: nothing is verified of its job any more"
            yield taken(ID, gone, 1, message, hint="put it back while the job exists")


def _subject(diff: Diff, pair: Pair) -> Iterator[Finding]:
    """What the promises are about: another function would make them easily."""
    was, now = pair.both("handler")
    if was is not None and was != now and not _handler_is_gone(diff, pair.old):
        said = f"handler was {quoted(was)}, which is still there, and is {quoted(now or 'gone')}"
        yield doubtful(ID, pair.file, pair.line("handler"), said, hint="see that the new one does the work")
    was, now = pair.both("enqueue")
    if was and not now:
        yield doubtful(ID, pair.file, 1, f"enqueue is gone; the base publishes through {quoted(at(was, 'call'))}")


def _handler_is_gone(diff: Diff, spec: Document) -> bool:
    """The job itself was removed or renamed: its function is no more where it was."""
    named = at(spec.value, "handler")
    module, _, function = str(named).partition(":")
    ending = f"{module.replace('.', '/')}.py"
    name = re.compile(rf"\b(def|class) {re.escape(function.partition('.')[0])}\b")
    homes = [file for file in diff.files if f"/{file.old_path}".endswith(f"/{ending}")]
    return any(file.new is None or not name.search(file.new) for file in homes)


def _effects(pair: Pair) -> Iterator[Finding]:
    old, new = ({str(at(e, "name")): e for e in listed(value)} for value in pair.both("effects"))
    calls = {at(effect, "call") for effect in new.values()}
    for name, effect in old.items():
        if name not in new:
            if at(effect, "call") not in calls:  # else it was only renamed
                said = f"the effect {quoted(name)} is gone from the spec; the base declares {quoted(_line(effect))}"
                yield taken(ID, pair.file, pair.line("effects"), said)
            continue
        was, now = at(effect, "guarantee"), at(new[name], "guarantee")
        if _STRENGTH.get(str(now), 0) < _STRENGTH.get(str(was), 0):
            index = list(new).index(name)
            said = f"the effect {quoted(name)} promises less: guarantee {quoted(was)} became {quoted(now)}"
            yield taken(ID, pair.file, pair.line("effects", index, "guarantee"), said)
        yield from _claim(pair, name, effect, new[name])
        if at(effect, "call") != at(new[name], "call"):
            calls_now = f"calls {quoted(at(new[name], 'call'))} where it called {quoted(at(effect, 'call'))}"
            said = f"the effect {quoted(name)} {calls_now}"
            yield doubtful(ID, pair.file, pair.line("effects"), said, hint="see that the new one does the work")


def _claim(pair: Pair, name: str, old: Any, new: Any) -> Iterator[Finding]:
    """For how long the receiver de-duplicates is somebody's word: the longer, the less is asked of the handler."""
    was, now = at(old, "window"), at(new, "window")
    before, after = seconds(was), seconds(now)
    if before is not None and (after is None or after > before):
        said = f"the receiver of {quoted(name)} is said to de-duplicate for longer: {quoted(was)} became {quoted(now)}"
        yield doubtful(
            ID, pair.file, pair.line("effects"), said, hint="name the receiver's documentation in the review"
        )


def _idempotency(pair: Pair) -> Iterator[Finding]:
    was, now = pair.both("idempotency", "strategy")
    if was == "keyed" and now != "keyed":
        said = f"idempotency.strategy was {quoted('keyed')} and is {quoted(now)}: no key is asked for any more"
        yield taken(ID, pair.file, pair.line("idempotency", "strategy"), said)
        return
    old, new = (listed(value) for value in pair.both("idempotency", "key"))
    lost = [field for field in old if field not in new]
    if lost:
        said = f"idempotency.key lost {quoted(', '.join(map(str, lost)))}: it was {quoted(old)} and is {quoted(new)}"
        yield taken(ID, pair.file, pair.line("idempotency", "key"), said)
    yield from _window(pair)


def _window(pair: Pair) -> Iterator[Finding]:
    was, now = pair.both("idempotency", "dedupe", "window")
    old, new = seconds(was), seconds(now)
    if new is not None and (old is None or new < old) and at(pair.old.value, "idempotency", "dedupe"):
        before = quoted(was) if was is not None else "without an end"
        said = f"idempotency.dedupe.window is shorter: it was {before} and is {quoted(now)}"
        yield taken(ID, pair.file, pair.line("idempotency", "dedupe", "window"), said)


def _failures(pair: Pair) -> Iterator[Finding]:
    for kind, other in (("permanent", "transient"), ("transient", "permanent")):
        old, new = (listed(value) for value in pair.both("failures", kind))
        moved = listed(pair.both("failures", other)[1])
        for error in old:
            if error in new:
                continue
            place = (pair.file, pair.line("failures", kind))
            if error in moved:
                yield doubtful(ID, *place, f"the error {quoted(_line(error))} was {kind} and is {other}")
            else:
                yield taken(
                    ID, *place, f"failures.{kind} lost {quoted(_line(error))}: nothing is tried with it any more"
                )


def _retry(pair: Pair) -> Iterator[Finding]:
    was, now = pair.both("retry", "max_attempts")
    if isinstance(was, int) and isinstance(now, int) and now > was:
        said = f"retry.max_attempts was {was} and is {now}"
        yield doubtful(ID, pair.file, pair.line("retry", "max_attempts"), said, hint="say in the review why")
    before, after = pair.both("retry")
    if isinstance(before, dict) and not isinstance(after, dict):
        yield doubtful(ID, pair.file, pair.line("retry"), "retry is gone: a failed job is not tried again")
        return
    yield from _backoff(pair)


def _backoff(pair: Pair) -> Iterator[Finding]:
    old, new = (mapping(value) for value in pair.both("retry", "backoff"))
    if not old:
        return
    line = pair.line("retry", "backoff")
    if old.get("kind") != "none" and new.get("kind", "none") == "none":
        yield doubtful(ID, pair.file, line, f"retry.backoff is gone; the base has {quoted(_line(old))}")
    elif seconds(old.get("cap")) is not None and seconds(new.get("cap")) is None:
        yield doubtful(ID, pair.file, line, f"retry.backoff has no cap any more; the base has {quoted(_line(old))}")
    elif (seconds(new.get("cap")) or 0) > (seconds(old.get("cap")) or float("inf")):
        yield doubtful(ID, pair.file, line, f"retry.backoff.cap was {quoted(old['cap'])} and is {quoted(new['cap'])}")
    elif old.get("jitter") is True and not new.get("jitter"):
        yield doubtful(ID, pair.file, line, "retry.backoff has no jitter any more")


def _dead_letter(pair: Pair) -> Iterator[Finding]:
    was, now = (_kind(value) for value in pair.both("dead_letter"))
    if was not in (None, "none") and now in (None, "none"):
        said = f"dead_letter was {quoted(was)} and is {quoted(now or 'gone')}: a job that is given up leaves no record"
        yield taken(ID, pair.file, pair.line("dead_letter"), said)


def _kind(value: Any) -> str | None:
    found = value if isinstance(value, str) else at(value, "kind")
    return found if isinstance(found, str) else None


def _line(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

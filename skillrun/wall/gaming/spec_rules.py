"""Which changes of a job spec are additions or narrower promises: everything else is held to the
base's word.

A change is narrower where code that satisfies it satisfies what the base asks, too. That is less
often so than it looks: a longer key lets two messages of one order through, a narrower payload
leaves the proof less to vary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skillrun.wall.gaming.specs import at, seconds

# (base, HEAD) -> None where the change may be; else why not, which may be "".
Rule = Callable[[Any, Any], str | None]

_STRENGTH = {"transactional": 3, "keyed": 2, "at_least_once": 1, "at_most_once": 1}
# A key that is kept for ever is proved for so long, so that leaving a longer window out would ask
# for less.
_PROVED_FOR_EVER_S = 30 * 86_400.0


def says_nothing(value: Any) -> bool:
    """Left out, or an empty list or mapping."""
    return value is None or value in ([], {})


def _allow(old: Any, new: Any) -> str | None:
    return None


def _hold(old: Any, new: Any) -> str | None:
    return ""


def _hold_set(old: Any, new: Any) -> str | None:
    """The order of the entries means nothing."""
    if not isinstance(old, list) or not isinstance(new, list):
        return ""
    return None if sorted(map(repr, old)) == sorted(map(repr, new)) else ""


def _hold_duration(old: Any, new: Any) -> str | None:
    """`60s` is `1m`."""
    was, now = seconds(old), seconds(new)
    return None if was is not None and was == now else ""


def _fill_in(old: Any, new: Any) -> str | None:
    """Where the base says nothing, HEAD may."""
    return None if says_nothing(old) else ""


def _hold_key(old: Any, new: Any) -> str | None:
    if says_nothing(old):
        return None
    if not isinstance(old, list) or not isinstance(new, list):
        return ""
    lost = [field for field in old if field not in new]
    if lost:
        return f"it lost `{', '.join(map(str, lost))}`"
    if len(new) > len(old):
        return "with a longer key fewer messages are the same work: more of them take effect"
    return None


def _strengthen(old: Any, new: Any) -> str | None:
    if old is None:
        return None
    if _STRENGTH.get(str(new), 0) > _STRENGTH.get(str(old), 0):
        return None
    return "it promises less"


def _remember_longer(old: Any, new: Any) -> str | None:
    """For how long the handler itself remembers a key: a promise."""
    was, now = seconds(old), seconds(new)
    if old is None:
        return None if now is not None and now >= _PROVED_FOR_EVER_S else "it was without an end"
    if new is None:
        return None if was is not None and was <= _PROVED_FOR_EVER_S else "it is proved for 30 days"
    return None if was is not None and now is not None and now >= was else "it is shorter"


def _trust_shorter(old: Any, new: Any) -> str | None:
    """For how long the receiver remembers is somebody's word: the longer, the less is asked of the
    handler.
    """
    was, now = seconds(old), seconds(new)
    if now is None:
        return "the receiver is said to de-duplicate for ever"
    if old is None or (was is not None and now <= was):
        return None
    return "the receiver is said to de-duplicate for longer"


def _delay_less(old: Any, new: Any) -> str | None:
    was, now = seconds(old), seconds(new)
    if old is None and now is not None:
        return None
    return None if was is not None and now is not None and now <= was else "more delay is accepted"


def _try_less(old: Any, new: Any) -> str | None:
    if old is None:
        return None
    if not isinstance(old, int) or not isinstance(new, int):
        return ""
    if new > old:
        return "it is tried more often"
    # A job that is tried once needs nothing of what makes another try harmless.
    return None if new > 1 or old == 1 else "it is not tried again"


def _replace_retry(old: Any, new: Any) -> str | None:
    """The section as a whole: `none`, or nothing, instead of a policy."""
    if says_nothing(old) or at(old, "kind") == "none":
        return None
    return "a failed job is not tried again"


def _wait_longer(old: Any, new: Any) -> str | None:
    was, now = _number(old), _number(new)
    return None if was is None or (now is not None and now >= was) else "it waits less"


def _wait_less(old: Any, new: Any) -> str | None:
    was, now = seconds(old), seconds(new)
    if old is None:
        return None
    if new is None:
        return "the waits have no cap any more"
    return None if was is not None and now is not None and now <= was else "it waits longer"


def _grow_backoff(old: Any, new: Any) -> str | None:
    order = ("none", "fixed", "exponential")
    if old is None:
        return None
    if new in order and old in order and order.index(new) >= order.index(old):
        return None
    return "the waits do not grow any more" if new in order else "backoff is gone"


def _jitter(old: Any, new: Any) -> str | None:
    return None if new is True else "jobs that failed together return together"


def _keep_dead_letter(old: Any, new: Any) -> str | None:
    if says_nothing(old) or at(old, "kind") == "none":
        return None
    return "a job that is given up leaves no record"


def _keep_kind(old: Any, new: Any) -> str | None:
    if old in (None, "none"):
        return None
    return "a job that is given up leaves no record" if new in (None, "none") else ""


def _keep_all(old: Any, new: Any) -> str | None:
    """Further entries anywhere; those of the base stay, each as often as it was there."""
    if says_nothing(old):
        return None
    if not isinstance(old, list) or not isinstance(new, list):
        return ""
    left = list(map(repr, new))
    for entry in old:
        if repr(entry) not in left:
            return f"it lost `{entry!r}`"
        left.remove(repr(entry))
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    return seconds(value)


RULES: dict[str, Rule] = {
    # What only describes.
    "intent": _allow,
    "job": _allow,
    "effects[].name": _allow,
    "effects[].reason": _allow,
    "retry.reason": _allow,
    "dead_letter.reason": _allow,
    # The look new-waiver minds these; none of them counts before the base holds it.
    "waivers": _allow,
    # Promises: more of them, or stronger ones.
    "idempotency.key": _hold_key,
    "idempotency.dedupe.store": _fill_in,
    "idempotency.dedupe.window": _remember_longer,
    "idempotency.invariant.statement": _fill_in,
    "idempotency.invariant.guarded_by": _fill_in,
    "effects[].guarantee": _strengthen,
    "effects[].window": _trust_shorter,
    "failures.acceptable_delay": _delay_less,
    "retry": _replace_retry,
    "retry.kind": _allow,  # what it takes away is said of `retry` and of the attempts
    "retry.max_attempts": _try_less,
    "retry.backoff": _fill_in,
    "retry.backoff.kind": _grow_backoff,
    "retry.backoff.base": _wait_longer,
    "retry.backoff.factor": _wait_longer,
    "retry.backoff.cap": _wait_less,
    "retry.backoff.jitter": _jitter,
    "dead_letter": _keep_dead_letter,
    "dead_letter.kind": _keep_kind,
    "dead_letter.where": _fill_in,
    # The proof sees more.
    "proof.database": _fill_in,
    "proof.poison": _keep_all,
    # To the letter, in whatever way it is written.
    "trigger.every": _hold_duration,
    "proof.services": _hold_set,
}

# Compared entry by entry in `spec_changes`.
COMPARED = (
    "payload",
    "effects",
    "failures.transient",
    "failures.permanent",
    "idempotency",
    "proof.state",
    "proof.dead_letters",
)

# Held to the letter: every change is an error, a new value where the base has none as well.
HELD = (
    "version",
    "trigger.type",
    "trigger.schedule",
    "trigger.timezone",
    "handler",
    "message",
    "enqueue.call",
    "enqueue.args",
    "enqueue.relay",
    "effects[].call",
    "effects[].key_arg",
    "effects[].mode",
    "effects[].returns",
    "proof.python",
    "proof.env",
    "proof.setup",
    "inputs",
)

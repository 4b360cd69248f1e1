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
# From the one that spares a failing service least to the one that spares it most.
_BACKOFFS = ("none", "fixed", "linear", "exponential")
# A key that is kept for ever is proved for so long, so that leaving a longer window out would ask
# for less.
_PROVED_FOR_EVER_S = 30 * 86_400.0


def says_nothing(value: Any) -> bool:
    """Left out, or an empty list or mapping."""
    return value is None or value in ([], {})


def _allow_change(old: Any, new: Any) -> str | None:
    return None


def _hold_set(old: Any, new: Any) -> str | None:
    """The order of the entries means nothing."""
    if not isinstance(old, list) or not isinstance(new, list):
        return ""
    # By their texts: entries of different types cannot be sorted.
    if sorted(map(repr, old)) == sorted(map(repr, new)):
        return None
    return ""


def _hold_duration(old: Any, new: Any) -> str | None:
    """`60s` is `1m`."""
    was, now = seconds(old), seconds(new)
    if was is not None and was == now:
        return None
    return ""


def _fill_in(old: Any, new: Any) -> str | None:
    """Where the base says nothing, HEAD may."""
    if says_nothing(old):
        return None
    return ""


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


def _promise_more(old: Any, new: Any) -> str | None:
    if old is None:
        return None
    if new == "convergent":
        # Repeating it is allowed, as of `at_least_once`, and must say the same.
        return None if old in ("at_least_once", "convergent") else "it promises less"
    if old == "convergent":
        return None if new == "transactional" else "it promises less"
    if _STRENGTH.get(str(new), 0) > _STRENGTH.get(str(old), 0):
        return None
    return "it promises less"


def _remember_longer(old: Any, new: Any) -> str | None:
    """For how long the handler itself remembers a key: a promise."""
    was, now = seconds(old), seconds(new)
    if old is None:
        if _is_at_most(_PROVED_FOR_EVER_S, now):
            return None
        return "it was without an end"
    if new is None:
        if _is_at_most(was, _PROVED_FOR_EVER_S):
            return None
        return "it is proved for 30 days"
    if _is_at_most(was, now):
        return None
    return "it is shorter"


def _trust_shorter(old: Any, new: Any) -> str | None:
    """For how long the receiver remembers is somebody's word: the longer, the less is asked of the
    handler.
    """
    was, now = seconds(old), seconds(new)
    if now is None:
        return "the receiver is said to de-duplicate for ever"
    if old is None or _is_at_most(now, was):
        return None
    return "the receiver is said to de-duplicate for longer"


def _delay_less(old: Any, new: Any) -> str | None:
    was, now = seconds(old), seconds(new)
    if old is None and now is not None:
        return None
    if _is_at_most(now, was):
        return None
    return "more delay is accepted"


def _try_less(old: Any, new: Any) -> str | None:
    if old is None:
        return None
    if not isinstance(old, int) or not isinstance(new, int):
        return ""
    if new > old:
        return "it is tried more often"
    # A job that is tried once needs nothing of what makes another try harmless.
    if new <= 1 and old != 1:
        return "it is not tried again"
    return None


def _deliver_less(old: Any, new: Any) -> str | None:
    """How often a message may kill its worker."""
    if old is None:
        return None
    if not isinstance(old, int) or not isinstance(new, int):
        return "nothing bounds the deliveries of a message that kills its worker"
    return "it may kill its worker more often" if new > old else None


def _lose_less(old: Any, new: Any) -> str | None:
    """What a death may take along."""
    return None if new in (None, old) else "a worker that dies may take its job along"


def _replace_worker(old: Any, new: Any) -> str | None:
    """The section as a whole: it may be new, or gone."""
    of_deliveries = _deliver_less(at(old, "deliveries"), at(new, "deliveries"))
    return of_deliveries or _lose_less(at(old, "death"), at(new, "death"))


def _replace_retry(old: Any, new: Any) -> str | None:
    """The section as a whole: `none`, or nothing, instead of a policy."""
    if says_nothing(old) or at(old, "kind") == "none":
        return None
    return "a failed job is not tried again"


def _wait_longer(old: Any, new: Any) -> str | None:
    was, now = _read_number(old), _read_number(new)
    if was is None or _is_at_most(was, now):
        return None
    return "it waits less"


def _wait_less(old: Any, new: Any) -> str | None:
    was, now = seconds(old), seconds(new)
    if old is None:
        return None
    if new is None:
        return "the waits have no cap any more"
    if _is_at_most(now, was):
        return None
    return "it waits longer"


def _grow_backoff(old: Any, new: Any) -> str | None:
    if old is None:
        return None
    if new not in _BACKOFFS:
        return "backoff is gone"
    if old in _BACKOFFS and _BACKOFFS.index(new) >= _BACKOFFS.index(old):
        return None
    return "the waits do not grow any more"


def _keep_jitter(old: Any, new: Any) -> str | None:
    if new is True:
        return None
    return "jobs that failed together return together"


def _keep_dead_letter(old: Any, new: Any) -> str | None:
    if says_nothing(old) or at(old, "kind") == "none":
        return None
    return "a job that is given up leaves no record"


def _keep_kind(old: Any, new: Any) -> str | None:
    if old in (None, "none"):
        return None
    if new in (None, "none"):
        return "a job that is given up leaves no record"
    return ""


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


def _leave_out_less(old: Any, new: Any) -> str | None:
    """Each entry takes something out of what is compared."""
    were = list(map(repr, old)) if isinstance(old, list) else []
    for entry in new if isinstance(new, list) else []:
        if repr(entry) not in were:
            return f"`{entry}` is not compared any more"
    return None


def _is_at_most(value: float | None, limit: float | None) -> bool:
    """Whether it is known to be; what is no number, or no duration, is nothing that is known."""
    return value is not None and limit is not None and value <= limit


def _read_number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    return seconds(value)


RULES: dict[str, Rule] = {
    # What only describes.
    "intent": _allow_change,
    "job": _allow_change,
    "effects[].name": _allow_change,
    "effects[].reason": _allow_change,
    "retry.reason": _allow_change,
    "dead_letter.reason": _allow_change,
    # The look new-waiver minds these; none of them counts before the base holds it.
    "waivers": _allow_change,
    # Promises: more of them, or stronger ones.
    "idempotency.key": _hold_key,
    "idempotency.dedupe.store": _fill_in,
    "idempotency.dedupe.window": _remember_longer,
    "idempotency.invariant.statement": _fill_in,
    "idempotency.invariant.guarded_by": _fill_in,
    # Another test may be one that notices less.
    "idempotency.test": _fill_in,
    "effects[].guarantee": _promise_more,
    "effects[].window": _trust_shorter,
    "failures.acceptable_delay": _delay_less,
    "retry": _replace_retry,
    "retry.kind": _allow_change,  # what it takes away is said of `retry` and of the attempts
    "retry.max_attempts": _try_less,
    "retry.backoff": _fill_in,
    "retry.backoff.kind": _grow_backoff,
    "retry.backoff.base": _wait_longer,
    "retry.backoff.factor": _wait_longer,
    "retry.backoff.cap": _wait_less,
    "retry.backoff.jitter": _keep_jitter,
    # With the last of its promises the section goes, too.
    "worker": _replace_worker,
    "worker.deliveries": _deliver_less,
    "worker.death": _lose_less,
    "worker.reason": _allow_change,
    "dead_letter": _keep_dead_letter,
    "dead_letter.kind": _keep_kind,
    "dead_letter.where": _fill_in,
    # The proof sees more.
    "proof.database": _fill_in,
    "proof.poison": _keep_all,
    "proof.rivals": _keep_all,
    # It sees less.
    "proof.not_state": _leave_out_less,
    "proof.scratch_files": _leave_out_less,
    "proof.not_rivals": _leave_out_less,
    # A setup that is cut off proves nothing.
    "proof.setup_timeout": _allow_change,
    # To the letter, in whatever way it is written.
    "trigger.every": _hold_duration,
    "recovers[].every": _hold_duration,
    "proof.services": _hold_set,
}

# Compared entry by entry in `spec_changes`.
COMPARED = (
    "payload",
    "effects",
    "failures.transient",
    "failures.permanent",
    "failures.success",
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
    # Where it names another one, nothing is proved, and somebody's word would do.
    "language",
    "handler",
    "message",
    "enqueue.call",
    "enqueue.args",
    "enqueue.relay",
    # With a sweep less is asked where a message is lost; without one the sweep is not asked at all.
    "recovers",
    "recovers[].call",
    "retry.backoff.first",
    "retry.backoff.step",
    "effects[].call",
    "effects[].key_arg",
    "effects[].mode",
    "effects[].returns",
    "proof.python",
    "proof.env",
    "proof.values",
    "proof.setup",
    # The digest of the rows is a part of it: other rows are another proof.
    "proof.fixture",
    "proof.fixture.file",
    "proof.fixture.sha256",
    "inputs",
)

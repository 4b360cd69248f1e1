"""What starts a job and how it is tried again, in words for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.registry import features_of

if TYPE_CHECKING:
    from skillrun.frameworks.interface import Policy
    from skillrun.skills.job_worker.overview.handlers import FoundJob

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def tell_trigger(job: FoundJob, *, is_named: bool = False) -> str:
    """ "clock", "event", both, or "no sender read". `is_named`: other code holds its name as a
    text.
    """
    kinds = {send.kind for send in job.real_sends}
    if kinds == {"enqueue", "schedule"}:
        return "event and clock"
    if kinds == {"schedule"}:
        return "clock"
    if kinds == {"enqueue"}:
        return "event"
    if is_named:
        return "event, by its name"
    return "no sender read"


def tell_policy(policy: Policy, library: str) -> str:
    """ "5 tries, 2 to 60 s, acks late"; what could not be read is named."""
    words = [_tell_attempts(policy)]
    waits = _tell_waits(policy)
    if waits:
        words.append(waits)
    if policy.acks_late:
        words.append("acks late")
    elif not features_of(library).runs_in_place:
        words.append("acks early")
    unread = sorted(name for name in policy.unknown if name != "max_attempts")
    if unread:
        words.append(f"not read: {', '.join(unread)}")
    return ", ".join(words)


def is_bound_read(policy: Policy) -> bool:
    """Whether the number of tries is what the code says, and no default that options which could
    not be read may have changed.
    """
    if "max_attempts" in policy.unknown:
        return False
    return "options" not in policy.unknown or policy.sources.get("max_attempts") is not None


def _tell_attempts(policy: Policy) -> str:
    if not is_bound_read(policy):
        return "tries not read"
    if policy.max_attempts is None:
        return "tries without end"
    return "1 try" if policy.max_attempts == 1 else f"{policy.max_attempts} tries"


def _tell_waits(policy: Policy) -> str:
    """The first and the longest wait."""
    retries = (policy.max_attempts or 0) - 1
    if policy.max_attempts is None:
        retries = 2
    if retries < 1 or not is_bound_read(policy) or "backoff" in policy.unknown:
        return ""
    waits = policy.backoff.delays(retries)
    first, longest = waits[0], max(waits)
    if not longest:
        return "at once"
    if first == longest:
        return f"{tell_seconds(first)} apart"
    return f"{tell_seconds(first)} to {tell_seconds(longest)}"


def tell_seconds(seconds: float) -> str:
    """ "90 s", "15 min"."""
    for size, word in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds / size)} {word}"
    return f"{seconds:g} s"

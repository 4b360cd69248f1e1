"""How long a job may come back: the retry horizon that a dedupe window must outlast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.frameworks.interface import Policy

DAY = 86_400.0


@dataclass(frozen=True)
class Horizon:
    """Seconds from the first try to the last moment at which the same job may run, and how that was
    computed.
    """

    backoff_s: float
    delay_s: float
    redelivery_s: float
    attempts: int
    redelivery_known: bool = True  # False: no policy was read, so the sum is too small

    @property
    def total_s(self) -> float:
        """backoff of all retries + acceptable delay + redelivery after the last attempt."""
        return self.backoff_s + self.delay_s + self.redelivery_s

    @property
    def words(self) -> str:
        """The sum with its numbers, e.g. "backoff 30s (5 attempts) + acceptable delay 15m +
        redelivery 0s = 15m30s".
        """
        return (
            f"backoff {duration(self.backoff_s)} ({self.attempts} attempts) + acceptable delay"
            f" {duration(self.delay_s)} + {self._redelivery} = {duration(self.total_s)}"
        )

    @property
    def _redelivery(self) -> str:
        if not self.redelivery_known:
            return "redelivery unknown until the handler exists"
        how = ""
        if self.redelivery_s:
            how = " (attempts x visibility timeout)"
        return f"redelivery {duration(self.redelivery_s)}{how}"


def horizon(spec: JobSpec, policy: Policy | None) -> Horizon | None:
    """The horizon by the longer of the spec's and the code's policy; None while neither is bounded.

    Each attempt can be redelivered once the broker's visibility timeout has passed (kombu restores
    an unacknowledged message then), so that timeout counts once for every attempt.
    """
    bounds = []
    for bound in (_of_spec(spec), _of_policy(policy)):
        if bound is not None:
            bounds.append(bound)
    if not bounds:
        return None
    attempts, backoff = max(a for a, _ in bounds), max(b for _, b in bounds)
    delay = 0.0
    if spec.failures and spec.failures.acceptable_delay:
        delay = spec.failures.acceptable_delay
    late = policy is not None and policy.acks_late and policy.visibility_timeout_s
    redelivery = 0.0
    if late and policy is not None:
        redelivery = (policy.visibility_timeout_s or 0.0) * attempts
    return Horizon(backoff, delay, redelivery, attempts, redelivery_known=policy is not None)


def _of_spec(spec: JobSpec) -> tuple[int, float] | None:
    retry = spec.retry
    if retry is None:
        return None
    if retry.kind == "none" or retry.max_attempts is None:
        return (1, 0.0)
    return retry.max_attempts, sum(retry.delays())


def _of_policy(policy: Policy | None) -> tuple[int, float] | None:
    if policy is None or policy.max_attempts is None:
        return None
    return policy.max_attempts, sum(policy.backoff.delays(policy.max_attempts - 1))


def duration(seconds: float) -> str:
    """Seconds for a person: 90 -> "1m30s", 604800 -> "7d"."""
    if seconds < 1:
        return f"{seconds:g}s"
    words, rest = [], round(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count}{unit}")
    return "".join(words)

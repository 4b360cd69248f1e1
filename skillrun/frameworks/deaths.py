"""What becomes of a job whose worker dies, where its library counts the death as an attempt."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.frameworks.pieces import Facts


def lost_with_its_worker(facts: Facts) -> Iterator[str]:
    """A job that is tried once and leaves nothing is lost, which only effects that happen at most
    once allow.
    """
    kept = None
    for effect in facts.effects:
        if effect.guarantee != "at_most_once":
            kept = effect.name
            break
    if kept and not facts.retries.bounded and facts.dead_letter == "none":
        yield (
            "a worker that dies takes the job with it where retry and dead_letter are both none,"
            f" and effect {kept} is not to be lost: allow a second attempt, keep a dead letter, or"
            " promise at_most_once"
        )

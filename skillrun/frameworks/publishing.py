"""When a generated publisher publishes: after the commit of what the job is about."""

from __future__ import annotations

from skillrun.frameworks.pieces import Facts

IN_TRANSACTION = "Its row belongs to the open transaction: no worker sees it before the commit."
"""The same of a library whose messages are rows of the application's own database."""


def publishes_on_commit(facts: Facts) -> bool:
    """Whether the publisher itself waits for the commit: in a Django project, where it is written
    at all.
    """
    return facts.django and facts.enqueue.module == facts.module


def when_to_publish(facts: Facts) -> str:
    """What the publisher's docstring says of it."""
    if publishes_on_commit(facts):
        return (
            "It waits for the commit of the open transaction. A death between the two loses the"
            " job: publish again."
        )
    return "Call it after the commit of what it is about: a worker may be faster than a commit."

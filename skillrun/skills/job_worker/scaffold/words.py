"""What generated docstrings and notes say of a job, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from skillrun.frameworks.layout import seconds
from skillrun.frameworks.pieces import Facts


def handler_notes(facts: Facts) -> list[str]:
    """What an operator has to know of the job, a paragraph each, for the handler's docstring."""
    return [
        " ".join(
            sentence for sentence in (guarantee(facts), retrying(facts), dead(facts)) if sentence
        )
    ]


def guarantee(facts: Facts) -> str:
    """What holds for each effect when a message comes twice."""
    said = []
    for effect in facts.effects:
        if effect.guarantee == "keyed":
            said.append(
                f"{effect.name}: a repeated call carries the same {effect.key_arg}, and the"
                " receiver drops it."
            )
        elif effect.guarantee == "transactional":
            said.append(f"{effect.name}: committed together with the row in {facts.store.name}.")
        else:
            said.append(
                f"{effect.name}: {effect.guarantee.replace('_', ' ')},"
                f" {_lower(effect.reason or '')}."
            )
    return " ".join(said)


def _lower(text: str) -> str:
    """The text of a reason inside a sentence."""
    words = " ".join(text.split()).rstrip(".").replace("\\", "/").replace('"', "'")
    if words[1:2].islower():
        return words[:1].lower() + words[1:]
    return words


def retrying(facts: Facts) -> str:
    """How often a job is tried, or why it is tried once."""
    retries = facts.retries
    if not retries.bounded:
        return f"Nothing is tried again: {_lower(retries.reason or 'the spec asks for none')}."
    return (
        f"Tried {retries.max_attempts} times in all, after waits of at most"
        f" {_waits(retries.delays)}."
    )


def _waits(delays: Sequence[float]) -> str:
    shown = list(dict.fromkeys(f"{seconds(delay)} s" for delay in delays))
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def dead(facts: Facts) -> str:
    """Where a job goes that is given up."""
    if facts.dead_letter == "table":
        return f"A job that is given up leaves a row in {facts.dead_letter_where}."
    if facts.dead_letter == "queue":
        return (
            f"A job that is given up becomes a message in {facts.dead_letter_where}, which no"
            " worker reads."
        )
    if facts.dead_letter == "none":
        return (
            "A job that is given up leaves only a log line:"
            f" {_lower(facts.dead_letter_reason or 'as the spec says')}."
        )
    return ""


def ending(facts: Facts) -> str:
    """The first line of what is done with a job that is given up."""
    kept = "the log says so"
    if facts.dead_letter != "none":
        kept = "the job is kept for a person"
    return f"No attempt is left, or none would help: {kept}."

"""Whether a log record says why a delivery failed."""

from __future__ import annotations

import re

from skillrun.proof.history import Delivery, Event

# One or two letters of an error's words stand in any record by chance.
_SHORT_WORDS = 2
# The words that the proof gives an error of a receiver: "503 injected by skillrun".
_STATUS = re.compile(r"(\d{3}) injected by skillrun")


def says_why(event: Event, delivery: Delivery) -> bool:
    """Whether a record names one of the errors on the way from what went wrong to how the delivery
    ended, or one that the application made of it and ended itself.
    """
    reasons = _list_reasons(delivery)
    if not reasons:
        # It asks to come again and met no error: its own words are the reason.
        return True
    reasons += _list_made(event, {_name_class(name) for name, _ in reasons})
    extra = " ".join(map(str, (event["extra"] or {}).values()))
    text = f"{event['text']} {event['error'] or ''} {extra}"
    return any(_names_error(text, name, said) for name, said in reasons)


def _list_reasons(delivery: Delivery) -> list[tuple[str, str | None]]:
    """(class, words) of each error that a delivery met or made of it: an adapter gives the
    provider's error another name, and a Retry holds that one.
    """
    found: list[tuple[str, str | None]] = []
    for event in delivery.events:
        if event.kind == "fault" and event["do"] == "raise":
            found.append((str(event["error"]), event["text"]))
        elif event.kind == "raised":
            if not event["control"]:
                found.append((str(event["error"]), event["text"]))
            if event["cause"]:
                name, said = event["cause"]
                found.append((str(name), said))
    # A script says with its exit status that something failed, and not what.
    telling = [reason for reason in found if reason[0] != "builtins:SystemExit"]
    return telling or found


def _list_made(event: Event, met: set[str]) -> list[tuple[str, str | None]]:
    """(class, words) of the application's own errors that were being handled where a record was
    written, and that it had made of one that the delivery met: others have nothing to do with it.
    `met`: names of classes.
    """
    found: list[tuple[str, str | None]] = []
    handled = event["handled"] or ()
    is_made = False
    # From what was raised first to what was made of it last.
    for name, said, is_own in reversed(handled):
        if is_own and is_made:
            found.append((str(name), said))
        is_made = is_made or _name_class(str(name)) in met
    return found


def _name_class(name: str) -> str:
    """ "Unavailable" of "shop.mailer:Unavailable"."""
    return name.rpartition(":")[2].rpartition(".")[2]


def _names_error(text: str, name: str, said: str | None) -> bool:
    """Whether a text names an error, by its class or by its words."""
    if name.rpartition(":")[2] in text:
        return True
    if said is None or len(said) <= _SHORT_WORDS:
        return False
    status = _STATUS.fullmatch(said)
    if status is None:
        return said in text
    # An adapter that makes its own error of an answer keeps the status, and not our words.
    return re.search(rf"(?<![\d.]){status[1]}(?![\d.])", text) is not None

"""Where in a history a fault makes a difference."""

from __future__ import annotations

from skillrun.proof.history import Event, History


def find_boundaries(history: History, delivery: int = 0) -> list[Event]:
    """The boundaries of a delivery to the handler, in order."""
    if delivery >= len(history.runs):
        return []
    return [event for event in history.runs[delivery].events if event.kind == "at"]


def find_callback_boundaries(history: History, delivery: int = 0) -> list[Event]:
    """The boundaries of what the library called after a delivery to the handler."""
    found: list[Event] = []
    if delivery < len(history.runs):
        for called in history.callbacks(history.runs[delivery]):
            found += called.all("at")
    return found


def kill_points(boundaries: list[Event]) -> list[str]:
    """Where a death makes a difference: around whatever outlasts the process, and after each
    uncommitted write.
    """
    return [event.boundary for event in boundaries if event.boundary and _outlasts_process(event)]


def _outlasts_process(event: Event) -> bool:
    """Or would, once it is committed."""
    if event["kind"] == "sql":
        return bool(event["verb"] != "select" and event["when"] == "after")
    if event["kind"] == "redis":
        return bool(event["write"])
    return event["kind"] in ("effect", "commit", "publish")


def switch_points(boundaries: list[Event]) -> list[str]:
    """Where another delivery may get in between: before each step, and between two transactions.

    Before the first step of one that was begun by a statement of its own it is too late: it may
    hold the lock.
    """
    found: list[str] = []
    # Of each store, the commit after which nothing was done there.
    committed: dict[str, str] = {}
    for event in boundaries:
        store = str(event["store"])
        if event["when"] == "after" and event["kind"] == "commit" and event.boundary:
            committed[store] = event.boundary
        elif event["when"] == "before" and event.boundary:
            since = committed.pop(store, None)
            if since and event["begun"]:
                found.append(since)
            found.append(event.boundary)
    return found

"""Which waivers of a spec count: those that the base branch's spec holds with the same reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.contract.positions import Document


@dataclass(frozen=True)
class Given:
    """A waiver as a spec writes it."""

    item: str
    reason: str
    line: int
    raw: Any


def waivers_of(document: Document | None) -> tuple[Given, ...]:
    """The waivers of a spec that may be malformed elsewhere."""
    if document is None:
        return ()
    return tuple(_read_waivers(document))


def not_held(head: Document | None, base: Document | None) -> tuple[Given, ...]:
    """The waivers of HEAD's spec that the base's spec does not hold, by item and reason."""
    held = {(waiver.item, waiver.reason) for waiver in waivers_of(base)}
    found = []
    for waiver in waivers_of(head):
        # With another reason it is another waiver: the reason is what was agreed to.
        if (waiver.item, waiver.reason) not in held:
            found.append(waiver)
    return tuple(found)


def _read_waivers(document: Document) -> Iterator[Given]:
    if not isinstance(document.value, dict):
        return
    listed = document.value.get("waivers")
    if not isinstance(listed, list):
        return
    for index, raw in enumerate(listed):
        if isinstance(raw, dict):
            line = document.line(("waivers", index))
            yield Given(str(raw.get("item", "")), str(raw.get("reason", "")), line, raw)

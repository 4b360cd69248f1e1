"""What the readers of handlers are asked about: what the specs of both sides name."""

from __future__ import annotations

from skillrun.wall.diff import Diff
from skillrun.wall.gaming.specs import at, listed, mapping
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.decisions import Asked


def read_asked(diff: Diff, sources: CommitSources) -> Asked:
    """Both sides are asked about the handlers and effects of both, so that what moved is known
    again.
    """
    handlers: list[str] = []
    effects: set[str] = set()
    keys: set[str] = set()
    variables: set[str] = set()
    for file in diff.specs:
        for document in (file.old_document, file.new_document):
            value = document.value if document is not None else None
            handlers.append(str(at(value, "handler")))
            for effect in listed(at(value, "effects")):
                effects.add(str(at(effect, "call")).replace(":", "."))
                keys.add(str(at(effect, "key_arg")).partition(".")[0])
            variables |= set(mapping(at(value, "proof", "env")))
    return Asked(
        sources=sources,
        handlers=tuple(dict.fromkeys(handlers)),
        effects=frozenset(effects),
        keys=frozenset(keys),
        variables=frozenset(variables),
    )

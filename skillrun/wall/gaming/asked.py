"""What the readers of handlers are asked about: what the specs of both sides name."""

from __future__ import annotations

import re

from skillrun.core.secret_names import SECRET_NAME
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.specs import at, listed, mapping
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.decisions import Asked

# A file, an address, a host or what stands for one: {scratch}/app.db, http://mail.example, db:5432.
# A mode or a number ("live", "3") is what production has, too.
_PLACE = re.compile(
    r"[/@{]|:\d|^[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}$"
    r"|(?i:\b(?:tests?|testing|proof|ci|fake|dummy|example|scratch)\b)"
)


def read_asked(diff: Diff, sources: CommitSources) -> Asked:
    """Both sides are asked about the handlers and effects of both, so that what moved is known
    again.
    """
    handlers: list[str] = []
    effects: set[str] = set()
    keys: set[str] = set()
    variables: dict[str, str] = {}
    for file in diff.specs:
        for document in (file.old_document, file.new_document):
            value = document.value if document is not None else None
            handlers.append(str(at(value, "handler")))
            for effect in listed(at(value, "effects")):
                effects.add(str(at(effect, "call")).replace(":", "."))
                keys.add(str(at(effect, "key_arg")).partition(".")[0])
            for name, given in mapping(at(value, "proof", "env")).items():
                variables[name] = f"{variables.get(name, '')} {given}".strip()
    return Asked(
        sources=sources,
        handlers=tuple(dict.fromkeys(handlers)),
        effects=frozenset(effects),
        keys=frozenset(keys),
        variables=frozenset(variables),
        own_values=frozenset(name for name in variables if _is_own(name, variables[name])),
    )


def _is_own(name: str, values: str) -> bool:
    """Whether one of the values that a proof gives a variable is another one than production's."""
    return SECRET_NAME.search(name) is not None or any(map(_PLACE.search, values.split()))

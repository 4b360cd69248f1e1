"""By which fields of a payload one job is told from another."""

from __future__ import annotations

import re

from skillrun.wall.gaming.specs import at, listed, mapping

_IDENTIFYING = re.compile(r"(^|_)(id|uuid|guid|key|number|no|ref|reference)$", re.IGNORECASE)


def read_key_fields(spec: object) -> set[str]:
    """The last words of the key's fields. Where a spec names no key: the required fields that are
    called as what identifies something and have another value in each example.
    """
    named = {str(name).rpartition(".")[2] for name in listed(at(spec, "idempotency", "key"))}
    if named:
        return named
    examples = [mapping(example) for example in listed(at(spec, "payload", "examples"))]
    found = set()
    for name in listed(at(spec, "payload", "required")):
        # An amount differs as well, and a job may be decided by it.
        if isinstance(name, str) and _IDENTIFYING.search(name):
            values = [repr(example.get(name)) for example in examples]
            if len(set(values)) == len(values):
                found.add(name)
    return found

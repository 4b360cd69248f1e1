"""`skillrun rules`: what is looked for in the code of a job, library by library."""

from __future__ import annotations

from skillrun.cli.commands.common import print_json
from skillrun.core.errors import Misuse


def list_rules(library: str | None, json: bool) -> int:
    """The rules of one library, or of all: id, stage, reason and source."""
    from skillrun.frameworks.registry import FRAMEWORKS

    if library is not None and library not in FRAMEWORKS:
        raise Misuse(f"no rules for {library}", hint=f"one of: {', '.join(FRAMEWORKS)}")
    listed = []
    for name, framework in FRAMEWORKS.items():
        if library in (None, name):
            listed += [(name, rule) for rule in framework.list_rules()]
    if json:
        print_json(
            [
                {
                    "id": rule.id,
                    "library": name,
                    "stage": rule.stage,
                    "reason": rule.why,
                    "source": rule.source,
                }
                for name, rule in listed
            ]
        )
        return 0
    for _, rule in listed:
        print(f"{rule.id} ({rule.stage})\n  {rule.why}\n  from: {rule.source}")
    return 0

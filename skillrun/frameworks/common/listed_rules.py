"""The rules that every library has whose workers list their functions (arq, SAQ),
under its name.
"""

from __future__ import annotations

from collections.abc import Mapping

from skillrun.frameworks.common.limit_rules import Limiting, declare_limit_rules
from skillrun.frameworks.common.send_rules import declare_send_rules
from skillrun.frameworks.common.sender import Sender
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.interface import Rule


def declare_listed_rules(
    library: str, sender: Sender, limiting: Limiting, sources: Mapping[str, str]
) -> tuple[Rule, ...]:
    """`sources` says for each rule where it stands that the library does so."""
    return (
        *declare_limit_rules(library, limiting, sources),
        *declare_swallowing_rules(
            library,
            says=f"{limiting.title} takes the job for done, and does not run it again",
            source=sources["swallowed-exception"],
        ),
        *declare_send_rules(library, sender, sources),
    )

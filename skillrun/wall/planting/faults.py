"""Texts that every lint, type or format check of Python dislikes, one fault in each, and one that
none dislikes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Lines for the end of a module. `{name}` is drawn anew for each verification, and `{NAME}` is
    the same in capitals. `words` say what is wrong with them; "" for what nothing is wrong with.
    """

    words: str
    text: str


# None of them does anything when the module is imported: tests that run over one stay green.
UNUSED = Fault("an unused import", 'def {name}():\n    """Planted."""\n    import colorsys')
FAULTS = (
    Fault("an undefined name", 'def {name}():\n    """Planted."""\n    return {name}_undefined'),
    UNUSED,
    Fault("a text where a number is declared", '{NAME}: int = "{name}"'),
    Fault("a badly formatted line", "{NAME}  = ( 1,2 )"),
)
# Asked where nothing else is found: no other check finds so little.
SYNTAX = Fault("a syntax error", "def {name}(:")
# What fails here looks at something else than faults: at whether the file is as git has it, say.
HARMLESS = Fault("", "# {name}")


def draw_name() -> str:
    """A name that no file holds, and that says who wrote it to whoever meets it in an output."""
    return f"planted_by_skillrun_{secrets.token_hex(4)}"


def plant(module: bytes, fault: Fault, name: str) -> bytes:
    """The module with the fault at its end, below two blank lines, in the file's line ends."""
    text = fault.text.replace("{name}", name).replace("{NAME}", name.upper())
    lines = [*text.split("\n"), ""]
    if module.strip():
        lines = ["", "", *lines]
    line_end = b"\n"
    if b"\r\n" in module:
        line_end = b"\r\n"
    whole = module
    if module and not module.endswith(b"\n"):
        whole += line_end
    return whole + line_end.join(line.encode() for line in lines)

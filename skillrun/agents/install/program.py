"""Which command the files of an agent name.

Files of a repository are committed: they name `skillrun`, which is looked up on PATH. Those of a
home folder belong to one machine, where an agent is often started without the environment that
skillrun lies in: they name it by its full path.
"""

from __future__ import annotations

import json
import os
import shlex
import sysconfig
from pathlib import Path
from typing import Any

from skillrun.agents.interface import Addition

ON_PATH = "skillrun"
_HOOK = f"{ON_PATH} hook "
_LOOKED_UP = f"command -v {ON_PATH} "


def own_program() -> str:
    """The full path of this skillrun's command; its name where this Python has none."""
    path = Path(sysconfig.get_path("scripts")) / ON_PATH
    if os.access(path, os.X_OK):
        return str(path)
    return ON_PATH


def with_program(one: Addition, program: str) -> Addition:
    """The addition with `program` wherever it would start the skillrun on PATH."""
    if program == ON_PATH:
        return one
    return Addition(one.path, one.how, one.keys, _name_program(one.value, program))


def _name_program(value: Any, program: str) -> Any:
    """A value of JSON, or the text of a file, with `program` as the command that it starts."""
    if isinstance(value, str):
        return _name_in_text(value, program)
    if isinstance(value, list):
        return [_name_program(inner, program) for inner in value]
    if isinstance(value, dict):
        # In their order: it is that of the file.
        inner = zip(value, _name_program([*value.values()], program), strict=True)
        return dict(inner)
    return value


def _name_in_text(value: str, program: str) -> str:
    if value == ON_PATH:
        return program
    quoted = shlex.quote(program)
    if _HOOK in value:
        value = value.replace(_LOOKED_UP, f"command -v {quoted} ")
        return value.replace(_HOOK, f"{quoted} hook ")
    # A table of TOML or a plugin in JavaScript: both write a text as JSON does.
    return value.replace(f'"{ON_PATH}"', json.dumps(program))

"""Which environment variable is missing, by the traceback of the code that reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_MISSING = re.compile(r"^KeyError: '(\w+)'$", re.MULTILINE)
_FRAME = re.compile(r'^\s*File "(.+)", line (\d+)', re.MULTILINE)
_ENVIRON = ("<frozen os>", "/os.py")  # os.environ["X"] raises from there


@dataclass(frozen=True)
class Unset:
    """A variable that is read and is not there; `place` is "config/settings.py:5"."""

    name: str
    place: str

    @property
    def message(self) -> str:
        """What is wrong, in one line."""
        return (
            f"{self.place}: reads the environment variable {self.name}, which the proof does not"
            " have"
        )

    @property
    def hint(self) -> str:
        """What to do."""
        return f"put it into the spec: proof: {{env: {{{self.name}: only-for-the-proof}}}}"


def find_unset(trace: str, root: Path | str) -> Unset | None:
    """The variable behind the last KeyError of a traceback, where `os.environ` raised it; None for
    any other error.
    """
    found = list(_MISSING.finditer(trace))
    frames = list(_FRAME.finditer(trace, 0, found[-1].start())) if found else []
    if len(frames) < 2 or not frames[-1][1].endswith(_ENVIRON):
        return None
    path, line = frames[-2][1], frames[-2][2]
    return Unset(found[-1][1], f"{path.removeprefix(str(root)).lstrip('/')}:{line}")

"""Whose code is at work: read from the stack, of files that are the repository's, the interpreter's or a library's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FrameType

from .recorder import Recorder

# both: an interpreter names its modules by the path that it was started by, which may be a link
_STANDARD = (
    os.path.dirname(os.__file__) + "/",
    os.path.dirname(os.path.realpath(os.__file__)) + "/",
)
_LIBRARIES = ("/site-packages/", "/dist-packages/")


class Frames:
    """Answers for the thread that asks, innermost frame first."""

    def __init__(self, recorder: Recorder) -> None:
        self.root, self.here = recorder.root, recorder.here

    def is_ours(self, path: str) -> bool:
        """Whether a source file is the repository's."""
        if not path.startswith(self.root) or path.startswith(self.here):
            return False
        return not any(folder in path for folder in _LIBRARIES)

    def is_done_by(self, modules: tuple[str, ...]) -> bool:
        """Whether one of these modules is at it, with none of the repository's own code in between.

        A subclass of the repository's that a logging call reaches is the repository's code.
        """
        for frame in _walk():
            if self.is_ours(frame.f_code.co_filename):
                return False
            if _is_part_of(str(frame.f_globals.get("__name__", "")), modules):
                return True
        return False

    def is_called_by_us(self) -> bool:
        """Whether the repository asked the standard library for it, and no other library stands in between."""
        for frame in _walk():
            path = frame.f_code.co_filename
            if self.is_ours(path):
                return True
            if not self._is_neutral(path):
                return False
        return False

    def _is_neutral(self, path: str) -> bool:
        """The interpreter's own modules, this probe, and code that was made from a text."""
        if path.startswith(("<", self.here)):
            return True
        return path.startswith(_STANDARD) and not any(folder in path for folder in _LIBRARIES)


def _walk() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_part_of(module: str, known: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in known)

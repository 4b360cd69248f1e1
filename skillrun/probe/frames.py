"""Whose code is at work: read from the stack, of files that are the repository's, the interpreter's
or a library's.

What a frame says of itself is its maker's word: `exec` takes any module name, and `compile` any
file name. So code is a library's only where the file that it names, in a folder that was known
before the repository was imported, has it.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from collections.abc import Hashable, Iterator
from types import CodeType, FrameType

from .recorder import Recorder
from .swap import is_trampoline

# both: an interpreter names its modules by the path that it was started by, which may be a link
_STANDARD = (
    os.path.dirname(os.__file__) + "/",
    os.path.dirname(os.path.realpath(os.__file__)) + "/",
)
_LIBRARIES = ("/site-packages/", "/dist-packages/")
_FROZEN = "<frozen "
# the names of frozen modules whose code calls them otherwise
_FROZEN_NAMES = {
    "importlib._bootstrap": "_frozen_importlib",
    "importlib._bootstrap_external": "_frozen_importlib_external",
}
# As it was before the repository could put another one in its place.
_find_frozen = importlib.machinery.FrozenImporter.get_code
_find_module = importlib.machinery.PathFinder.find_spec


class _Reader(importlib.machinery.SourceFileLoader):
    """Reads a module's code as an import does, and leaves no file behind."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Nothing is kept."""


class Frames:
    """Answers for the thread that asks, innermost frame first."""

    def __init__(self, recorder: Recorder) -> None:
        self.root, self.here = recorder.root, recorder.here
        self.codes: dict[str, frozenset[Hashable]] = {}  # file -> the code that it has
        self.homes: dict[str, str] = {}  # module -> its path, without the ending

    def locate_modules(self, modules: tuple[str, ...]) -> None:
        """Before the repository is imported: finds where the modules are that `is_done_by` will be
        asked for.
        """
        for module in modules:
            home = _find_home(module, self.here)
            # a library below the repository is in its environment, or it is the repository's own
            # code
            if home is None or (
                home.startswith(self.root) and not home.startswith((sys.prefix, self.here))
            ):
                continue
            self.homes[module] = home

    def is_ours(self, path: str) -> bool:
        """Whether a source file is the repository's."""
        if not path.startswith(self.root) or path.startswith(self.here):
            return False
        return not any(folder in path for folder in _LIBRARIES)

    def is_done_by(self, modules: tuple[str, ...]) -> bool:
        """Whether one of these modules is at it, with none of the repository's own code in between.

        A subclass of the repository's that a logging call reaches is the repository's code. So is
        code that no file of a library has.
        """
        homes = [self.homes[module] for module in modules if module in self.homes]
        for frame in _walk_stack():
            path = frame.f_code.co_filename
            if self.is_ours(path) or not self.is_genuine(frame.f_code):
                return False
            if any(_is_within(path, home) for home in homes):
                return True
        return False

    def is_innermost(self, path: str) -> bool:
        """Whether the code of one file is at it, by itself."""
        for frame in _walk_stack():
            other = frame.f_code.co_filename
            if not other.startswith(self.here):
                return other == path and self.is_genuine(frame.f_code)
        return False

    def is_called_by_us(self) -> bool:
        """Whether the repository asked the standard library for it, and no other library stands in
        between.
        """
        for frame in _walk_stack():
            path = frame.f_code.co_filename
            if self.is_ours(path):
                return True
            if not self._is_neutral(path) and self.is_genuine(frame.f_code):
                return False
        return False

    def is_genuine(self, code: CodeType) -> bool:
        """Whether the file that a code object names has that code."""
        if is_trampoline(code):
            return True
        path = code.co_filename
        known = self.codes.get(path)
        if known is None:
            known = self.codes[path] = _read_codes(path)
        return _take_fingerprint(code) in known

    def read_ahead(self, paths: list[str]) -> None:
        """In the zygote: a delivery has compared running code with these files, and the next ones
        need not read them. A file that the repository could write is read when it is asked for.
        """
        for path in paths:
            # A pipe, which would hold up every delivery, can be made only where one may write.
            if path.startswith((self.here, sys.prefix + "/", *_STANDARD)) and os.path.isfile(path):
                self.codes.setdefault(path, _read_codes(path))

    def _is_neutral(self, path: str) -> bool:
        """The interpreter's own modules, this probe, and code that was made from a text."""
        if path.startswith(("<", self.here)):
            return True
        return path.startswith(_STANDARD) and not any(folder in path for folder in _LIBRARIES)


def _walk_stack() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _find_home(module: str, here: str) -> str | None:
    """Where a module is, found without importing it: `/lib/logging` stands for a file and for a
    folder.
    """
    if __package__ and module.startswith(f"{__package__}."):
        return here + module[len(__package__) + 1 :]
    top, _, rest = module.partition(".")
    spec = _find_module(top)
    if spec is None or spec.origin is None:
        return None
    above = os.path.dirname(spec.origin)
    if spec.submodule_search_locations:
        folder = above
    else:
        folder = os.path.join(above, top)
    if rest:
        return os.path.join(folder, *rest.split("."))
    return folder


def _is_within(path: str, home: str) -> bool:
    return path == home + ".py" or path.startswith(home + "/")


def _read_codes(path: str) -> frozenset[Hashable]:
    """All code of a file; none where it cannot be read."""
    try:
        if path.startswith(_FROZEN):
            name = path[len(_FROZEN) : -1]
            whole = _find_frozen(_FROZEN_NAMES.get(name, name))
        else:
            whole = _Reader("probed", path).get_code("probed")
    except Exception:  # whatever is wrong with a file: it shows no code
        return frozenset()
    if whole is not None:
        return frozenset(_list_fingerprints(whole))
    return frozenset()


def _list_fingerprints(code: CodeType) -> Iterator[Hashable]:
    yield _take_fingerprint(code)
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from _list_fingerprints(value)


def _take_fingerprint(code: CodeType) -> Hashable:
    """What a code object does; two equal ones need not compare so, once one of them has been
    running.
    """
    values = tuple(value for value in code.co_consts if not isinstance(value, types.CodeType))
    names = (code.co_names, code.co_varnames, code.co_freevars)
    return (code.co_name, code.co_firstlineno, code.co_code, names, values)

"""Is a job library in use? One recogniser reads any entry; what it collects is judged in
`conclude`.
"""

from __future__ import annotations

import ast
import os
import re

from skillrun.frameworks.known.addresses import find_broker
from skillrun.frameworks.known.conclude import Collected, conclude
from skillrun.frameworks.known.entry import Known
from skillrun.frameworks.known.launchers import START_FILES, find_starts
from skillrun.repo.manifests import Manifests
from skillrun.repo.places import is_aside, is_plainly_test
from skillrun.repo.uses import FrameworkUse, Place

_SOURCES = {
    "python": (),
    "node": ("*.js", "*.jsx", "*.mjs", "*.cjs", "*.ts", "*.tsx", "*.mts", "*.cts"),
    "ruby": ("*.rb", "*.rake", "*.ru"),
    "go": ("*.go",),
    "jvm": ("*.java", "*.kt", "*.kts"),
    "php": ("*.php",),
    "elixir": ("*.ex", "*.exs"),
    "dotnet": ("*.cs",),
    "rust": ("*.rs",),
}
# A word that is in the path of every Python file: functions that are handed over, or listed, and
# an app that a command names lie in any.
_ANY_PYTHON = b".py"
_LISTING = ("lists ", "holds ")


class KnownRecogniser:
    """Collects for one entry from one pass over the files; see `repo.survey.Recogniser`."""

    def __init__(self, known: Known) -> None:
        self.id = known.id
        self.language = known.language
        self.words: tuple[bytes, ...] = tuple(_words_to_look_for(known))
        self._sources = tuple(glob[1:] for glob in _SOURCES[known.language])
        self.text_files: tuple[str, ...] = (
            *START_FILES,
            *known.start_files,
            *_SOURCES[known.language],
            *known.configs,
        )
        # Command lines that start a worker.
        self.starts = known.starts
        # As manifests name it, a glob each.
        self.distributions = known.distributions
        self._known = known
        self._worth = re.compile(known.worth.encode(), re.MULTILINE)
        self._found = Collected()

    def wants(self, path: str, data: bytes) -> bool:
        """Code and configuration of the repository itself, with one of the library's words."""
        if self._known.own and self._known.own in (path, path.removeprefix("src/")):
            self._found.is_own = True
        if path.endswith(".py"):
            self._found.paths.append(path)
        if is_aside(path):
            return self._may_hold_app(path, data)
        speaks = self._has_words(data)
        if path.endswith(".py"):
            return (speaks and self._worth.search(data) is not None) or self._speaks_in(path)
        return speaks or not self._is_source(path) or self._speaks_in(path)

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes what the file does with names."""
        from skillrun.frameworks.known.sights_python import see_python

        self._found.files.append(see_python(path, module, data))
        if not is_aside(path):
            self._note_address(path, data, is_code=True)

    def see_text(self, path: str, data: bytes) -> None:
        """Notes what a source file or a configuration shows, and command lines that start a
        worker.
        """
        if self._is_source(path) or path.rpartition("/")[2].lower() in self._known.configs:
            from skillrun.frameworks.known.sights_source import see_source

            self._found.files.append(see_source(path, data))
            return
        if self._known.starts:
            text = data.decode("utf-8", "replace")
            self._found.starts += find_starts(path, text, self._known.starts)
        self._note_address(path, data, is_code=False)

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use, or None where only a manifest, a test, an example or an optional integration
        knows it.
        """
        return conclude(self._known, self._found, manifests)

    def _note_address(self, path: str, data: bytes, *, is_code: bool) -> None:
        if not self._known.addresses:
            return
        lines = data.decode("utf-8", "replace").splitlines()
        found = find_broker("\n".join(lines), self._known.addresses)
        if found is not None:
            broker, line = found
            # An address in the code says more than one beside it, and a near file than a deep one.
            rank = (not is_code, path.count("/"))
            self._found.brokers.append((rank, broker, Place(path, line, lines[line - 1])))

    def _may_hold_app(self, path: str, data: bytes) -> bool:
        """The one app of a library may stand in its tests or examples."""
        if not path.endswith(".py") or (is_plainly_test(path) and not self._known.aside_tests):
            return False
        return any(word in data for word in self._known.aside)

    def _has_words(self, text: bytes) -> bool:
        return any(word in text for word in self._known.words)

    def _speaks_in(self, path: str) -> bool:
        return self._has_words(os.fsencode(path))

    def _is_source(self, path: str) -> bool:
        if not self._sources:
            return False
        return path.endswith(self._sources)


def _words_to_look_for(known: Known) -> list[bytes]:
    """Every word costs a look in every file: one that holds another is not looked for again."""
    words = list(known.words)
    for command in known.starts:
        program = command.split()[0].encode()
        if not any(one in program for one in words):
            words.append(program)
    if known.hands or known.app_options or any(mark.startswith(_LISTING) for mark in known.tasks):
        return [*words, _ANY_PYTHON]
    return words

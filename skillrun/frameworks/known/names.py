"""What names mean across the Python files of a repository: through imports, variables, classes and
factories.

A name is dotted; "()" after a word is what calling it gives; ":" in front says that the file itself
defines it. What is located in the repository is written "path:name".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skillrun.frameworks.known.entry import FileSights, glob_of

# Longer chains of imports and assignments do not occur; shorter ones than this go round in circles.
_HOPS = 6


class Names:
    """All Python files that were seen, as one space of names.

    `modules` are globs over the library's own import paths, which are not looked for in the
    repository. `paths` are all files that a module may be found in.
    """

    def __init__(self, files: Iterable[FileSights], modules: tuple[str, ...], paths: Iterable[str]):
        self._files = {seen.path: seen for seen in files if seen.path.endswith(".py")}
        self._library = tuple(glob_of(module) for module in modules)
        self._by_last_word: dict[str, list[tuple[list[str], str]]] = {}
        for path in dict.fromkeys((*self._files, *paths)):
            words = module_words(path)
            if words:
                self._by_last_word.setdefault(words[-1], []).append((words, path))
        self._expanded: dict[tuple[str, str, str], tuple[str, ...]] = {}

    def locate(self, name: str, near: FileSights, scope: str = "", hops: int = _HOPS) -> str:
        """ "path:name" of something of ours, also through the imports of other files; the import
        path of anything else.
        """
        if name.startswith(":"):
            return self._locate_inside(near.path, name[1:], scope, hops)
        if self.is_library(name):
            return name
        is_relative = name.startswith(".")
        if is_relative:
            words = _resolve_relative(near.path, name)
        else:
            words = name.split(".")
        for length in range(len(words), 0, -1):
            path = self._find_module(words[:length], near.path, is_relative)
            if path:
                rest = ".".join(words[length:])
                if rest:
                    return self._locate_inside(path, rest, "", hops - 1)
                return path
        if is_relative:
            return "/" + ".".join(words)
        return name

    def expand(
        self, name: str, near: FileSights, scope: str = "", hops: int = _HOPS
    ) -> tuple[str, ...]:
        """Everything that a name may stand for: "celery.Celery().task" of `app.task`."""
        key = (near.path, scope, name)
        if key not in self._expanded:
            # Whoever comes back here while this is being worked out has gone round in a circle.
            self._expanded[key] = ()
            self._expanded[key] = tuple(dict.fromkeys(self._expand_name(name, near, scope, hops)))
        return self._expanded[key]

    def find_file(self, path: str) -> FileSights | None:
        """What was seen of a Python file; None where nobody looked into it."""
        return self._files.get(path)

    def is_defined(self, name: str, near: FileSights, scope: str = "") -> bool:
        """Whether all that a name stands for is made by code of the repository that was seen."""
        path, _, inner = self.locate(name, near, scope).partition(":")
        file = self._files.get(path)
        if file is None or not _stands_for(file, inner):
            return False
        return all(":" in one for one in self.expand(name, near, scope))

    def _expand_name(self, name: str, near: FileSights, scope: str, hops: int) -> Iterator[str]:
        located = self.locate(name, near, scope)
        path, _, inner = located.partition(":")
        file = self._files.get(path)
        found = None
        if file is not None and inner and hops > 0:
            found = _stands_for(file, inner)
        if file is None or found is None:
            yield located
            return
        key, rest = found
        if key.endswith("()"):
            inside = key.removesuffix("()")
        else:
            inside = key.rpartition(".")[0]
        for value in file.values[key]:
            yield from self.expand(value + rest, file, inside, hops - 1)

    def _locate_inside(self, path: str, name: str, scope: str, hops: int) -> str:
        file = self._files.get(path)
        if file is None:
            return f"{path}:{name}"
        first, dot, rest = name.partition(".")
        plain = first.removesuffix("()")
        imported = file.names.get(plain)
        # What the file defines beside the library's own is for who has not installed it.
        is_fallback = imported is not None and self.is_library(imported)
        for around in _list_scopes(scope):
            if is_fallback and not around:
                break
            if f"{around}{plain}" in file.values or f"{around}{plain}()" in file.values:
                return f"{path}:{around}{name}"
        if imported is None or hops <= 0:
            return f"{path}:{name}"
        return self.locate(imported + first[len(plain) :] + dot + rest, file, "", hops - 1)

    def is_library(self, name: str) -> bool:
        """Whether a name is an import path of the library itself."""
        return any(module.matches_name(name.replace("()", "")) for module in self._library)

    def _find_module(self, words: list[str], near: str, is_rooted: bool) -> str:
        """The file of a module; of several with the same last words, the nearest."""
        found = []
        for known, path in self._by_last_word.get(words[-1], ()):
            if is_rooted:
                same = known == words
            else:
                same = known[-len(words) :] == words
            if same:
                found.append((-count_shared(path, near), len(known), path))
        if not found:
            return ""
        return min(found)[2]


def module_words(path: str) -> list[str]:
    """["shop", "celery"] of "shop/celery.py"; a package's name of its `__init__.py`."""
    words = path.removesuffix(".py").split("/")
    if words[-1] == "__init__":
        return words[:-1]
    return words


def _stands_for(file: FileSights, inner: str) -> tuple[str, str] | None:
    """(the longest beginning of a name that has a value, the rest of the name)."""
    words = inner.split(".")
    for length in range(len(words), 0, -1):
        beginning = ".".join(words[:length])
        rest = inner[len(beginning) :]
        while beginning:
            if beginning in file.values:
                return beginning, rest
            if not beginning.endswith("()"):
                break
            beginning, rest = beginning[:-2], f"(){rest}"
    return None


def _list_scopes(scope: str) -> Iterator[str]:
    """ "Runner.start.", "Runner." and "" of a scope, the innermost first."""
    while scope:
        yield f"{scope}."
        scope = scope.rpartition(".")[0]
    yield ""


def _resolve_relative(path: str, name: str) -> list[str]:
    """The words of a relative import, seen from the root of the repository."""
    level = len(name) - len(name.lstrip("."))
    folders = path.split("/")[:-level]
    rest = name.lstrip(".")
    if rest:
        return [*folders, *rest.split(".")]
    return folders


def count_shared(path: str, other: str) -> int:
    """How many leading folders two paths share."""
    count = 0
    for one, two in zip(path.split("/"), other.split("/"), strict=False):
        if one != two:
            break
        count += 1
    return count

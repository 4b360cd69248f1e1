"""Is one of the libraries in use that are only recognised, and where? One recogniser reads any
entry.

Installed is not used: what counts is an app, a task or a job that is sent, in code that the
repository runs.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from skillrun.frameworks.interface import FrameworkUse, Place
from skillrun.frameworks.known.entry import Known, Seen, Sight, declares, matches
from skillrun.frameworks.known.launchers import START_FILES, find_starts
from skillrun.repo.manifests import Dependency, Manifests
from skillrun.repo.places import is_aside
from skillrun.text import excerpt

_OPTIONAL = frozenset(
    {
        *(
            "integration",
            "integrations",
            "contrib",
            "ext",
            "extensions",
            "plugins",
            "backends",
            "adapters",
            "compat",
        ),
        *("instrumentation", "providers", "extras", "executors"),
    }
)
_WEAK = frozenset(
    {"class", "field", "set", "file", "import"}
)  # no evidence where nothing else names the library
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
_MANIFESTS = {
    "python": (".toml", ".txt", ".in", "Pipfile", ".cfg", ".py", ".yml", ".yaml"),
    "node": ("package.json", "pnpm-workspace.yaml"),
    "ruby": ("Gemfile", ".gemspec"),
    "go": ("go.mod",),
    "jvm": ("pom.xml", ".gradle", ".gradle.kts", ".versions.toml"),
    "php": ("composer.json",),
    "elixir": ("mix.exs",),
    "dotnet": ("proj", ".props"),
    "rust": ("Cargo.toml",),
}
_FEW = 3  # evidence lines of one sort


class KnownRecogniser:
    """Collects for one entry from one pass over the files; see `repo.survey.Recogniser`."""

    def __init__(self, known: Known) -> None:
        self.id = known.id
        self.language = known.language
        # Every word costs a look in every file: one that holds another is not looked for again.
        starts = [
            word.encode()
            for word in known.starts[:1]
            if not any(one in word.encode() for one in known.words)
        ]
        self.words: tuple[bytes, ...] = (*known.words, *starts)
        self._sources = tuple(glob[1:] for glob in _SOURCES[known.language])
        self.text_files: tuple[str, ...] = (*START_FILES, *_SOURCES[known.language], *known.configs)
        self._known = known
        self._seen: list[Seen] = []
        self._starts: list[Place] = []
        self._own = False
        self._bases: dict[
            tuple[str, str], str
        ] = {}  # (module's last word, class) -> what it is derived from

    def wants(self, path: str, data: bytes) -> bool:
        """Code and configuration of the repository itself, with one of the library's words."""
        self._own = self._own or (bool(self._known.own) and path == self._known.own)
        if is_aside(path):
            return False
        if path.endswith(".py"):
            return self._speaks(data)
        return not self._is_source(path) or self._speaks(data) or self._speaks(os.fsencode(path))

    def _speaks(self, text: bytes) -> bool:
        return any(word in text for word in self._known.words)

    def _is_source(self, path: str) -> bool:
        return path.endswith(self._sources) if self._sources else False

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes what the file does with imported names."""
        from skillrun.frameworks.known.sights_python import see_python

        self._seen.append(see_python(path, module, data))

    def see_text(self, path: str, data: bytes) -> None:
        """Notes what a source file or a configuration shows, and command lines that start a
        worker.
        """
        if self._is_source(path) or path.rpartition("/")[2].lower() in self._known.configs:
            from skillrun.frameworks.known.sights_source import see_source

            self._seen.append(see_source(path, data))
        elif self._known.starts:
            self._starts += find_starts(path, data.decode("utf-8", "replace"), self._known.starts)

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use, or None where only a manifest, a test, an example or an optional integration
        knows it.
        """
        declared = [
            one
            for one in manifests.dependencies
            if one.path.endswith(_MANIFESTS[self._known.language])
            and declares(one.name, self._known.distributions)
        ]
        anchored = any(one.main for one in declared) or self._imported()
        classes = [
            (seen, sight) for seen in self._seen for sight in seen.sights if sight.kind == "base"
        ]
        self._bases = {
            (_stem(seen.path), sight.target): sight.name
            for seen, sight in classes
            if "." in sight.name
        }
        apps = list(self._matching(self._known.apps, anchored))
        owners = {sight.target for _, sight in apps if sight.target}
        tasks = list(self._matching(self._known.tasks, anchored, owners))
        sent = list(self._matching(self._known.sends, anchored, owners))
        builtin = list(self._matching(self._known.builtin, True))
        if self._own or not self._has_needed(manifests):
            return None
        if not builtin and not self._in_use(
            [*apps, *tasks, *sent], bool(apps), declared, manifests
        ):
            return None
        tasks += [*builtin, *self._matching(self._known.follows, anchored)]
        return self._use(apps, tasks, owners, declared, manifests)

    def _use(
        self,
        apps: list[tuple[Seen, Sight]],
        tasks: list[tuple[Seen, Sight]],
        owners: set[str],
        declared: list[Dependency],
        manifests: Manifests,
    ) -> FrameworkUse:
        located = apps or list(self._matching(self._known.places, True))
        names = (
            tuple(dict.fromkeys(self._app_id(seen, sight) for seen, sight in located))
            or self._launchers()
        )
        return FrameworkUse(
            id=self.id,
            app=names[0] if names else None,
            apps=names,
            task_modules=tuple(
                sorted({path for seen, sight in tasks for path in self._task_paths(seen, sight)})
            ),
            scheduler=self._said(self._known.schedules, owners, manifests),
            broker=self._said(self._known.brokers, owners, manifests) or self._known.broker,
            evidence=self._evidence(declared, located, tasks),
        )

    def _imported(self) -> bool:
        return any(seen.imports(module) for seen in self._seen for module in self._known.modules)

    def _matching(
        self, marks: Iterable[str], anchored: bool, owners: Iterable[str] = ()
    ) -> Iterator[tuple[Seen, Sight]]:
        """What the marks say, in the order of the marks, then the least deep file first."""
        seen_in_order = sorted(self._seen, key=lambda seen: (seen.path.count("/"), seen.path))
        for mark in marks:
            if anchored or mark.partition(" ")[0] not in _WEAK:
                for seen in seen_in_order:
                    for sight in seen.sights:
                        names = dict.fromkeys(
                            (_through_app(sight.name, owners), sight.name, self._base(seen, sight))
                        )
                        if any(name and matches(mark, sight, seen, name) for name in names):
                            yield seen, sight

    def _base(self, seen: Seen, sight: Sight) -> str:
        """What a class of the repository's own is derived from, where a call makes one; else ""."""
        if sight.kind != "call" or not self._bases:
            return ""
        module, _, name = sight.name.rpartition(".")
        return self._bases.get((module.rpartition(".")[2] or _stem(seen.path), name), "")

    def _in_use(
        self,
        found: list[tuple[Seen, Sight]],
        has_app: bool,
        declared: list[Dependency],
        manifests: Manifests,
    ) -> bool:
        if not found:
            return False
        gems = _gem_folders(manifests)
        comes_along = any(one.main and _folder(one.path) not in gems for one in declared)
        if self._starts or comes_along or not manifests.dependencies:
            return True
        return has_app and not all(_is_optional(seen.path, gems) for seen, _ in found)

    def _has_needed(self, manifests: Manifests) -> bool:
        needed = self._known.needs
        return not needed or any(
            one.main and declares(one.name, needed) for one in manifests.dependencies
        )

    def _launchers(self) -> tuple[str, ...]:
        return (
            tuple(dict.fromkeys(place.path for place in self._starts))
            if self._known.launched
            else ()
        )

    def _app_id(self, seen: Seen, sight: Sight) -> str:
        above, home, _ = (
            f"/{seen.path}".rpartition(f"/{self._known.home}/")
            if self._known.home
            else ("", "", "")
        )
        if home:
            return f"{above}/{self._known.home}".strip("/")
        return f"{seen.path}:{sight.target}" if self._known.objects and sight.target else seen.path

    def _task_paths(self, seen: Seen, sight: Sight) -> list[str]:
        """The file itself; of a handler that a list names, the file that it comes from, where that
        was seen.
        """
        if sight.kind != "lists" or "." not in sight.name:
            return [seen.path]
        module = sight.name.rpartition(".")[0]
        tail = module.lstrip(".").replace(".", "/") + ".py"
        return [one.path for one in self._seen if one.path == tail or one.path.endswith(f"/{tail}")]

    def _said(
        self, marks: dict[str, str] | object, owners: set[str], manifests: Manifests
    ) -> str | None:
        """The first name that a mark, or a declared dependency, stands for."""
        assert isinstance(marks, dict)
        for mark, name in marks.items():
            kind, _, pattern = mark.partition(" ")
            if kind == "dep":
                if any(
                    declares(one.name, (pattern,)) for one in manifests.dependencies if one.main
                ):
                    return str(name)
            elif next(self._matching((mark,), True, owners), None):
                return str(name)
        return None

    def _evidence(
        self,
        declared: list[Dependency],
        apps: list[tuple[Seen, Sight]],
        tasks: list[tuple[Seen, Sight]],
    ) -> tuple[Place, ...]:
        """Where it is declared, made, used and started: a few lines of each."""
        found = [Place(one.path, one.line, one.text) for one in declared if one.main][:_FEW]
        found += [_place(seen, sight) for seen, sight in apps][:_FEW]
        first = {seen.path: _place(seen, sight) for seen, sight in reversed(tasks)}
        found += [first[path] for path in sorted(first)][:_FEW]
        found += self._starts[:_FEW]
        lines = {(place.path, place.line): place for place in found}
        return tuple(replace(one, text=excerpt(one.text)) for one in lines.values())


def _gem_folders(manifests: Manifests) -> frozenset[str]:
    """Where gems are made: what they depend on is for whoever installs them."""
    return frozenset(
        _folder(one.path) for one in manifests.dependencies if one.path.endswith(".gemspec")
    )


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _is_optional(path: str, gems: frozenset[str]) -> bool:
    """Code of an integration, which only runs where somebody else has the library."""
    return not _OPTIONAL.isdisjoint(path.split("/")[:-1]) or any(
        path.startswith(f"{gem}/lib/".lstrip("/")) for gem in gems
    )


def _place(seen: Seen, sight: Sight) -> Place:
    text = seen.lines[sight.line - 1] if 0 < sight.line <= len(seen.lines) else ""
    return Place(seen.path, sight.line, text)


def _through_app(name: str, owners: Iterable[str]) -> str:
    """ "~app.task" of "shop.app.broker.task" where `broker` is an app object."""
    owner, _, method = name.rpartition(".")
    return f"~app.{method}" if owner.rpartition(".")[2] in owners else name

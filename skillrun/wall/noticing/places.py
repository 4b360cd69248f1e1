"""Where the code of the jobs of a commit can be broken: in what the handlers reach."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skillrun.proof.breaking.sites import (
    KINDS,
    WORKER,
    Parts,
    Site,
    find_sites,
    write_sites,
)
from skillrun.repo.places import is_test
from skillrun.repo.python import Definition
from skillrun.skills.job_worker.readings.own_tests.noticing import find_import_root
from skillrun.wall.diff import File
from skillrun.wall.gaming.specs import at, listed, mapping
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.reach import Reach

# Sites that tests may come by; how many are tried is another question.
_MOST_SITES = 600
_KEY_KINDS = ("another value", "another value at the next call")


@dataclass(frozen=True)
class Places:
    """The code of one commit, and where it can be broken, in the order in which that is tried."""

    sites: tuple[Site, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)  # path -> text in which they can be
    modules: tuple[str, ...] = ()
    import_root: str = ""
    paths: frozenset[str] = frozenset()  # all files that the handlers reach
    env: dict[str, str] = field(default_factory=dict)  # plain values of proof.env
    left_out: int = 0  # places that are one too many, and are never offered

    @property
    def by_id(self) -> dict[str, Site]:
        """Id -> site, in the same order."""
        return {site.id: site for site in self.sites}

    @property
    def early(self) -> tuple[str, ...]:
        """The ids of what is settled at import: the handlers' own options before others."""
        found = [site for site in self.sites if site.at_import]
        found.sort(key=lambda site: site.function == site.path)
        return tuple(site.id for site in found)

    def find_same(self, other: Places) -> dict[str, Site]:
        """Id of a site here -> the site of the other commit that is the same code."""
        known = {_identify_site(site): site for site in other.sites}
        found = {}
        for site in self.sites:
            same = known.get(_identify_site(site))
            if same is not None:
                found[site.id] = same
        return found


def _identify_site(site: Site) -> tuple[str, str, str]:
    return site.function, site.kind, site.text


def find_places(specs: Iterable[File], sources: CommitSources, *, is_new: bool) -> Places:
    """The places of one side."""
    project = sources.project
    reach = Reach(project)
    handlers: list[Definition] = []
    roots: list[str] = []
    env: dict[str, str] = {}
    for spec in specs:
        document = spec.new_document if is_new else spec.old_document
        value = document.value if document is not None else None
        handler = project.find(str(at(value, "handler")))
        if handler is not None:
            handlers += project.callables(handler)
            roots += _list_roots(value)
            env |= _list_plain(value)
    reach.follow(roots)
    if not handlers:
        return Places(paths=frozenset(reach.modules))
    functions: dict[str, set[int]] = {}
    for function in reach.functions.values():
        functions.setdefault(function.path, set()).add(function.line)
    keys = frozenset(_list_key_names(specs, is_new=is_new))
    parts = _list_parts(reach, functions, handlers, keys)
    every = _find_sites(sources, parts)
    # What a receiver goes by comes first, however much else there is.
    first = set(_list_key_lines(reach, keys))
    every = tuple(sorted(every, key=lambda site: (site.path, site.line, site.kind) not in first))
    sites = every[:_MOST_SITES]
    started = Site(WORKER, handlers[0].path, handlers[0].line, handlers[0].name, "", "")
    broken = {site.path for site in sites}
    broken.update(handler.path for handler in handlers)
    texts = {}
    for path in sorted(broken):
        texts[path] = write_sites(sources.texts[path].encode(), path, parts[path])
    return Places(
        sites=(started, *sites),
        texts=texts,
        modules=tuple(project.import_name(path) for path in sorted(broken)),
        import_root=find_import_root(handlers[0]),
        paths=frozenset(reach.modules),
        env=env,
        left_out=len(every) - len(sites),
    )


def _list_parts(
    reach: Reach,
    functions: dict[str, set[int]],
    handlers: list[Definition],
    keys: frozenset[str],
) -> dict[str, Parts]:
    """What can be broken of each file that a handler reaches: options are set where the
    application is made, and no function of that file need be reached.
    """
    found = {}
    for path in dict.fromkeys((*functions, *sorted(reach.modules))):
        own = {handler.line for handler in handlers if handler.path == path}
        is_application = path in reach.modules and not is_test(path)
        reached = frozenset(functions.get(path, ()))
        found[path] = Parts(reached, frozenset(own), is_application, keys)
    return found


def _list_key_names(specs: Iterable[File], *, is_new: bool) -> Iterator[str]:
    """The arguments that carry the keys of the effects."""
    for spec in specs:
        document = spec.new_document if is_new else spec.old_document
        if document is not None:
            for effect in listed(at(document.value, "effects")):
                yield str(at(effect, "key_arg")).partition(".")[0]


def _list_key_lines(reach: Reach, names: frozenset[str]) -> Iterator[tuple[str, int, str]]:
    """(path, line, kind) of the breaks of the keys with which the effects are called."""
    for function in reach.functions.values():
        for node in ast.walk(function.node):
            if isinstance(node, ast.keyword) and node.arg in names:
                for kind in _KEY_KINDS:
                    yield function.path, node.value.lineno, kind


def _list_roots(value: object) -> Iterator[str]:
    """What is followed: the handler, who publishes the job, and the effects."""
    yield str(at(value, "handler"))
    enqueue = at(value, "enqueue")
    if isinstance(enqueue, dict):
        enqueue = at(enqueue, "call")
    yield str(enqueue)
    for effect in listed(at(value, "effects")):
        yield str(at(effect, "call"))


def _list_plain(value: object) -> dict[str, str]:
    found = {}
    for name, text in mapping(at(value, "proof", "env")).items():
        # What needs a scratch or a service of the proof is not there.
        if isinstance(text, str) and "{" not in text:
            found[str(name)] = text
    return found


def _find_sites(sources: CommitSources, parts: dict[str, Parts]) -> tuple[Site, ...]:
    """One of each function in turn, those first that say most."""
    groups: dict[tuple[str, str], list[Site]] = {}
    for path, own in parts.items():
        try:
            found = find_sites(sources.texts[path].encode(), path, own)
        except (SyntaxError, ValueError):
            # Only a newer Python can read it.
            continue
        for site in found:
            groups.setdefault((path, site.function), []).append(site)
    ranked = []
    for number, group in enumerate(groups.values()):
        group.sort(key=_rank_site)
        for turn, site in enumerate(group):
            ranked.append((turn, number, site))
    ranked.sort(key=lambda entry: entry[:2])
    return tuple(site for _, _, site in ranked)


def _rank_site(site: Site) -> tuple[int, int]:
    return KINDS.index(site.kind), site.line

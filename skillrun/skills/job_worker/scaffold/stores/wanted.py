"""What the spec asks of a store, in the words of the code that will be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.core.errors import Blocked
from skillrun.skills.job_worker.scaffold.facts import Names
from skillrun.skills.job_worker.scaffold.stores.columns import Column, key_columns

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.repo.python import Project


@dataclass(frozen=True)
class Wanted:
    """`table`: the dedupe table, "" where something else remembers; `dead_table`: "" where none is
    kept.
    """

    job: str
    handler: str
    title: str  # of the handler, as a class would be named
    package: str  # of the handler's module, "" at the top
    folder: str  # of that package, "" or with a slash at its end
    kind: str  # the first word of dedupe.store: table | redis | receiver
    table: str
    prefix: str  # of Redis keys
    dead_table: str
    columns: tuple[Column, ...]
    window_s: float | None
    transactional: bool
    claims: bool

    def module(self, end: str) -> str:
        """The dotted name of a module beside the handler's."""
        name = f"{self.handler}_{end}"
        if self.package:
            return f"{self.package}.{name}"
        return name

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the key columns."""
        return tuple(column.name for column in self.columns)


def read_wanted(project: Project, spec: JobSpec) -> Wanted:
    """Raises Blocked where the spec does not say where a finished job is remembered."""
    store, window_s = "", None
    if spec.idempotency and spec.idempotency.dedupe:
        store = spec.idempotency.dedupe.store or ""
        window_s = spec.idempotency.dedupe.window
    kind, words = _read_store(spec, store)
    table = prefix = ""
    if kind == "table":
        table = _bare(words[0])
    elif kind == "redis":
        prefix = _prefix(words, spec.job)
    module, _, name = (spec.handler or "").partition(":")
    package = module.rpartition(".")[0]
    guarantees = {effect.guarantee for effect in spec.effects or ()}
    return Wanted(
        job=spec.job,
        handler=name,
        title="".join(part[:1].upper() + part[1:] for part in name.split("_")),
        package=package,
        folder=_folder(project, package),
        kind=kind,
        table=table,
        prefix=prefix,
        dead_table=_name_dead_table(spec),
        columns=key_columns(spec),
        window_s=window_s,
        transactional="transactional" in guarantees,
        claims="at_most_once" in guarantees,
    )


def _read_store(spec: JobSpec, store: str) -> tuple[str, list[str]]:
    """(table | redis | receiver, the words behind it)."""
    words = store.split()
    kind = ""
    if words:
        kind = words[0].lower()
    if kind == "valkey":
        kind = "redis"
    if kind in ("redis", "receiver") or (kind == "table" and len(words) > 1):
        return kind, words[1:]
    where = f"{spec.shown_path}:{spec.line('idempotency', 'dedupe')}: idempotency.dedupe.store"
    said = f"{where} is missing"
    if words:
        said = f"{where}: {' '.join(words)!r} is nothing that a scaffold can write"
    raise Blocked(said, hint='write "table NAME", "redis PREFIX" or "receiver"')


def _name_dead_table(spec: JobSpec) -> str:
    dead = spec.dead_letter
    if dead is None or dead.kind != "table" or not dead.where:
        return ""
    return _bare(dead.where.split()[-1])


def _bare(name: str) -> str:
    """A table without its schema and quotes."""
    return name.rpartition(".")[2].strip('"`')


def _prefix(words: list[str], job: str) -> str:
    """ "redis key reminded:{appointment_id}" and "redis sms:done:*" begin with "reminded" and
    "sms:done".
    """
    if words[:1] == ["key"]:
        words = words[1:]
    written = ""
    if words:
        written = words[0]
    return written.partition("{")[0].rstrip(":*") or job


def _folder(project: Project, package: str) -> str:
    path = None
    if package:
        path = project.locate(package)
    if path is not None:
        return path.removesuffix("__init__.py")
    if not package:
        return ""
    return Names(project).path(f"{package}.store").removesuffix("store.py")

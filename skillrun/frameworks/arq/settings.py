"""How code elsewhere comes to what a worker's settings say of Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.listed import Worker
from skillrun.frameworks.common.listed_writing import name_owner, write_found
from skillrun.frameworks.pieces import Symbol

if TYPE_CHECKING:
    from skillrun.repo.python import Project

_TO_POOL = {
    "redis_settings": "",
    "queue_name": "default_queue_name",
    "job_serializer": "job_serializer",
    "job_deserializer": "job_deserializer",
}
"""An option of a worker -> what `create_pool` calls it, "" for its first argument: who publishes has
to say the same.
"""

_DEFAULT: Symbol | str | None = "from arq.connections import RedisSettings"


@dataclass(frozen=True)
class Pool:
    """The arguments of `create_pool` in the handler's module.

    `imported` are of the worker's settings. `settings`: those of Redis alone, for a module that
    imports `symbols`.
    """

    arguments: tuple[str, ...]
    settings: str
    imported: tuple[Symbol, ...] = ()
    symbols: tuple[Symbol | str, ...] = ()


def find_pool(project: Project, worker: Worker) -> Pool | None:
    """How a publisher opens the worker's Redis; None where nothing but the worker's own pool leads
    there.
    """
    settings = worker.option("redis_settings")
    if settings is None and worker.option("redis_pool") is not None:
        return None
    own = Symbol(worker.module.name, name_owner(worker) or "", path=worker.module.path)
    arguments, symbols = [], []
    redis, of_redis = "RedisSettings()", _DEFAULT
    for option, name in _TO_POOL.items():
        found = worker.option(option)
        if found is None:
            continue
        text, symbol = write_found(project, worker, found, own)
        arguments.append(f"{name}={text}" if name else text)
        if symbol is not None:
            symbols.append(symbol)
        if not name:
            redis, of_redis = text, symbol
    needed = (of_redis,) if of_redis is not None else ()
    return Pool(tuple(arguments), redis, tuple(symbols), needed)

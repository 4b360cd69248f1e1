"""How code elsewhere comes to what a worker's settings say of Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.listed import Worker
from skillrun.frameworks.common.listed_writing import leads_back, name_owner, write_found
from skillrun.frameworks.pieces import Facts, Symbol

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

    `needed` is imported at its top, `within` by the publisher itself: such a module imports the
    handler's.
    `settings`: those of Redis alone, for a module that imports `symbols`.
    """

    arguments: tuple[str, ...]
    settings: str
    needed: tuple[Symbol, ...] = ()
    within: tuple[str, ...] = ()
    symbols: tuple[Symbol | str, ...] = ()


def find_pool(project: Project, facts: Facts, worker: Worker) -> Pool | None:
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
        symbols += [symbol] if symbol is not None else []
        if not name:
            redis, of_redis = text, symbol
    late = [symbol for symbol in symbols if leads_back(project, worker, symbol, facts.path)]
    needed = dict.fromkeys(symbol for symbol in symbols if symbol not in late)
    within = dict.fromkeys(f"from {symbol.module} import {symbol.name}" for symbol in late)
    return Pool(
        arguments=tuple(arguments),
        settings=redis,
        needed=tuple(needed),
        within=tuple(within),
        symbols=(of_redis,) if of_redis is not None else (),
    )

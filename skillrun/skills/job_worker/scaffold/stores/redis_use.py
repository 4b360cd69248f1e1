"""How a repository uses Redis: its client, how long a lease and a mark may live, and what points it
elsewhere.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.core.errors import Blocked
from skillrun.frameworks.pieces import Symbol
from skillrun.repo.places import is_aside
from skillrun.repo.syntax import find_nodes
from skillrun.skills.job_worker.scaffold.stores.database import Database
from skillrun.skills.job_worker.scaffold.stores.nearness import within_reach
from skillrun.skills.job_worker.scaffold.stores.variables import variable_of
from skillrun.skills.job_worker.stages.horizon import horizon

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.frameworks.interface import Policy
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_CLASSES = ("Redis", "StrictRedis", "Valkey", "from_url")
# Where no time limit is known.
_LEASE_S = 300.0


@dataclass(frozen=True)
class Client:
    """The repository's client: the expression that gives it, and what is imported for that."""

    symbol: Symbol
    expression: str
    imports: tuple[str, ...]
    made: tuple[Module, ast.expr] | None = None


def find_client(project: Project, near: str) -> Client | None:
    """A module variable that holds a client, a function without arguments that returns one, or
    django-redis.

    Of several the one nearest to the path `near`.
    """
    return next(_clients(project, near), None) or _django_redis(project)


def _clients(project: Project, near: str) -> Iterator[Client]:
    paths = {path for word in ("redis", "Redis", "valkey") for path in project.tree.search(word)}
    for path in within_reach(project, paths, near):
        if is_aside(path):
            module = None
        else:
            module = project.module(path)
        for node in module.tree.body if module else ():
            name, value = _named(node)
            made = None
            if module:
                made = next((call for call in value if _makes(module, call)), None)
            if made is not None and module is not None:
                if isinstance(node, ast.FunctionDef):
                    called = f"{name}()"
                else:
                    called = name
                symbol = Symbol(module.name, name, path=path)
                yield Client(symbol, called, (f"from {module.name} import {name}",), (module, made))


def _named(node: ast.stmt) -> tuple[str, list[ast.Call]]:
    """(name, calls whose result it holds or returns)."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            target = node.target
        value = []
        if isinstance(node.value, ast.Call):
            value = [node.value]
        if isinstance(target, ast.Name):
            return (target.id, value)
        return ("", [])
    if not isinstance(node, ast.FunctionDef) or len(node.args.args) > len(node.args.defaults):
        return "", []
    returned = []
    for inner in find_nodes(node, ast.Return):
        returned.append(inner.value)
    return node.name, [value for value in returned if isinstance(value, ast.Call)]


def _makes(module: Module | None, call: ast.Call) -> bool:
    """Redis(...), redis.Redis.from_url(...), redis.from_url(...); not the asynchronous client."""
    origin = (module.resolve(call.func) if module else None) or ""
    words = origin.split(".")
    return words[0] in ("redis", "valkey") and "asyncio" not in words and words[-1] in _CLASSES


def _django_redis(project: Project) -> Client | None:
    if not any(not is_aside(path) for path in project.tree.search("django_redis")):
        return None
    name = "get_redis_connection"
    return Client(
        Symbol("django_redis", name), f'{name}("default")', (f"from django_redis import {name}",)
    )


def database_of(project: Project, client: Client | None) -> Database:
    """The server that a proof starts, and the variable that leads to it."""
    if client is None:
        return Database({"REDIS_URL": "{redis}"}, ("redis",))
    found = None
    if client.made:
        found = variable_of(project, client.made[0], client.made[1])
    if found is None:
        where = "CACHES in the settings"
        if client.made:
            where = f"{client.symbol.path}:{client.made[1].lineno}"
        note = (
            f"{where}: the address of Redis is fixed: a proof needs it read from a variable, as"
            " a URL"
        )
        return Database({}, ("redis",), note=note)
    assert client.made is not None
    is_url = ast.unparse(client.made[1]).partition("(")[0].endswith("from_url") and not found.part
    if not is_url:
        return Database(
            {}, ("redis",), note=f"{found.name} is no URL of Redis: a proof can only give one"
        )
    return Database({found.name: "{redis}"}, ("redis",))


def lease_s(spec: JobSpec, policy: Policy | None) -> float | None:
    """How long a delivery that died may keep others out, in seconds; None where a second one could
    not come back.

    Longer than the handler may run, where that is known, and no longer than the retries of a second
    delivery wait: half of that, and a quarter where jitter shortens the waits.
    """
    retry = spec.retry
    if retry is None or retry.kind == "none" or (retry.max_attempts or 1) < 2:
        return None
    jitter = retry.backoff is not None and retry.backoff.jitter
    most = sum(retry.delays()) * (0.25 if jitter else 0.5)
    limit = None
    if policy is not None:
        limit = policy.time_limit_s
    lease = min(limit * 1.1 if limit else _LEASE_S, most)
    if lease >= 1:
        return lease
    return None


def kept_s(spec: JobSpec, policy: Policy | None) -> float | None:
    """How long a mark is kept, in seconds: the window of the spec, and not less than the retry
    horizon.
    """
    dedupe = None
    if spec.idempotency:
        dedupe = spec.idempotency.dedupe
    if dedupe is None or dedupe.window is None:
        return None
    bound = horizon(spec, policy)
    return math.ceil(max(dedupe.window, bound.total_s if bound is not None else 0.0))


def refuse_transactions(spec: JobSpec) -> None:
    """Raises Blocked where an effect is to be committed together with a key in Redis."""
    for number, effect in enumerate(spec.effects or ()):
        if effect.guarantee == "transactional":
            where = (
                f"{spec.shown_path}:{spec.line('effects', number)}: effects.{number} {effect.name}"
            )
            message = (
                f"{where} is transactional, and Redis takes part in no transaction of a database"
            )
            raise Blocked(
                message, hint="idempotency.dedupe.store: table NAME, in the database of the effect"
            )

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
from skillrun.skills.job_worker.readings.horizon import horizon
from skillrun.skills.job_worker.scaffold.stores.database import Database
from skillrun.skills.job_worker.scaffold.stores.nearness import within_reach
from skillrun.skills.job_worker.scaffold.stores.variables import variable_of

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.frameworks.interface import Policy
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_CLASSES = ("Redis", "StrictRedis", "Valkey", "from_url")
# Where no time limit is known.
_LEASE_S = 300.0
# What stops a handler at its limit takes a moment more.
_LONGER_THAN_THE_LIMIT = 1.1
# A delivery that came too early has to have retries left when the lease of the dead one ends.
_SHARE_OF_WAITS = 0.5
_SHARE_OF_JITTERED_WAITS = 0.25


@dataclass(frozen=True)
class Client:
    """The expression that gives a client, and what is imported for that.

    `symbol` is the repository's own; None where the store makes one from `variable`.
    """

    symbol: Symbol | None
    expression: str
    imports: tuple[str, ...] = ()
    made: tuple[Module, ast.expr] | None = None
    variable: str | None = None


_OF_THE_STORE = Client(None, "client", variable="REDIS_URL")


def find_client(project: Project, near: str) -> Client:
    """A module variable that holds a client, a function without arguments that returns one,
    django-redis; where there is none, the store's own.

    Of several the one nearest to the path `near`.
    """
    found = next(_list_clients(project, near), None)
    return found or _find_django_redis(project) or _OF_THE_STORE


def _list_clients(project: Project, near: str) -> Iterator[Client]:
    paths: set[str] = set()
    for word in ("redis", "Redis", "valkey"):
        paths.update(project.tree.search(word))
    for path in within_reach(project, paths, near):
        module = None
        if not is_aside(path):
            module = project.module(path)
        if module is None:
            continue
        for node in module.tree.body:
            name, calls = _read_binding(node)
            made = next((call for call in calls if _makes_client(module, call)), None)
            if made is None:
                continue
            expression = name
            if isinstance(node, ast.FunctionDef):
                expression = f"{name}()"
            imports = (f"from {module.name} import {name}",)
            yield Client(Symbol(module.name, name, path=path), expression, imports, (module, made))


def _read_binding(node: ast.stmt) -> tuple[str, list[ast.Call]]:
    """(name, calls whose result a variable holds, or a function without arguments returns)."""
    values: list[ast.expr | None] = []
    if isinstance(node, ast.Assign):
        target, values = node.targets[0], [node.value]
    elif isinstance(node, ast.AnnAssign):
        target, values = node.target, [node.value]
    elif isinstance(node, ast.FunctionDef) and len(node.args.args) <= len(node.args.defaults):
        target = ast.Name(node.name)
        for inner in find_nodes(node, ast.Return):
            values.append(inner.value)
    else:
        return "", []
    if not isinstance(target, ast.Name):
        return "", []
    return target.id, [value for value in values if isinstance(value, ast.Call)]


def _makes_client(module: Module, call: ast.Call) -> bool:
    """Redis(...), redis.Redis.from_url(...), redis.from_url(...); not the asynchronous client."""
    origin = module.resolve(call.func) or ""
    words = origin.split(".")
    return words[0] in ("redis", "valkey") and "asyncio" not in words and words[-1] in _CLASSES


def _find_django_redis(project: Project) -> Client | None:
    if all(map(is_aside, project.tree.search("django_redis"))):
        return None
    name = "get_redis_connection"
    return Client(
        Symbol("django_redis", name), f'{name}("default")', (f"from django_redis import {name}",)
    )


def database_of(project: Project, client: Client) -> Database:
    """The server that a proof starts, and the variable that leads to it."""
    if client.variable is not None:
        return Database({client.variable: "{redis}"}, ("redis",))
    if client.made is None:
        return _note_fixed_address("CACHES in the settings")
    module, call = client.made
    found = variable_of(project, module, call)
    if found is None:
        return _note_fixed_address(f"{module.path}:{call.lineno}")
    is_url = ast.unparse(call).partition("(")[0].endswith("from_url") and not found.part
    if not is_url:
        note = f"{found.name} is no URL of Redis: a proof can only give one"
        return Database({}, ("redis",), note=note)
    return Database({found.name: "{redis}"}, ("redis",))


def _note_fixed_address(where: str) -> Database:
    note = (
        f"{where}: the address of Redis is fixed: a proof needs it read from a variable, as a URL"
    )
    return Database({}, ("redis",), note=note)


def lease_s(spec: JobSpec, policy: Policy | None) -> float | None:
    """How long a delivery that died may keep others out, in seconds; None where a second one could
    not come back.

    Longer than the handler may run, where that is known, and no longer than the retries of a second
    delivery wait: half of that, and a quarter where jitter shortens the waits.
    """
    retry = spec.retry
    if retry is None or retry.kind == "none" or (retry.max_attempts or 1) < 2:
        return None
    share = _SHARE_OF_WAITS
    if retry.backoff is not None and retry.backoff.jitter:
        share = _SHARE_OF_JITTERED_WAITS
    most = sum(retry.delays()) * share
    usual = _LEASE_S
    if policy is not None and policy.time_limit_s:
        usual = policy.time_limit_s * _LONGER_THAN_THE_LIMIT
    lease = min(usual, most)
    # Redis counts a lease in whole seconds; a shorter one keeps nobody out.
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
    kept = dedupe.window
    bound = horizon(spec, policy)
    if bound is not None:
        kept = max(kept, bound.total_s)
    return math.ceil(kept)


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

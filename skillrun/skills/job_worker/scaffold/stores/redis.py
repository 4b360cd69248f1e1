"""A key in Redis for each piece of work: a lease with a token while it is done, and a mark with a
time to live.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Store, Symbol
from skillrun.skills.job_worker.scaffold.stores.columns import Column
from skillrun.skills.job_worker.scaffold.stores.testing import Testing


@dataclass(frozen=True)
class Keys:
    """What the template needs to know: `Store.extras["keys"]`.

    `client` is the expression of the client. `lease_s` is None where a second delivery could not
    come back later, so that only the mark is kept. `kept_s` is None for a mark that stays for ever.
    `bury`: where that function is written, since Redis holds no table.
    """

    columns: tuple[Column, ...]
    prefix: str
    client: str
    lease_s: float | None
    kept_s: float | None
    imports: tuple[str, ...] = ()
    variable: str | None = None  # the environment variable of a client of its own
    bury: Symbol | None = None
    fake: bool = False  # the repository's tests use fakeredis


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The module of `once`; `bury` comes from the tables' own module."""
    keys: Keys = facts.store.extras["keys"]
    manner = _choose_manner(facts.store, keys)
    text = render(
        "redis_store.py.jinja",
        facts,
        manner=manner,
        needed=_list_imports(manner, keys),
        client=keys.client,
        parameters=[column.parameter for column in keys.columns],
        names=[column.name for column in keys.columns],
        key=_write_key(keys),
        variable=keys.variable,
        buries=keys.bury is not None,
        busy=_find_passing_error(facts),
        lease_ms=round((keys.lease_s or 0) * 1000),
        kept_s=round(keys.kept_s or 0),
    )
    return [Module(facts.store.path, text)]


def _choose_manner(store: Store, keys: Keys) -> str:
    """What is kept under a key: "claims", a "lease" and a mark, or the "mark" alone."""
    if store.claims:
        return "claims"
    if keys.lease_s is not None:
        return "lease"
    return "mark"


def _find_passing_error(facts: Facts) -> str:
    """A builtin error that the spec tries again, which `Busy` is one of; "" where it has none (see
    `problems`).
    """
    for error in facts.transient:
        if not error.module:
            return error.name
    return ""


def problems(facts: Facts) -> Iterator[str]:
    """What the spec has to say for a lease and does not: that a delivery which finds another at
    work is tried again, and where it goes when its attempts are used up.
    """
    if not facts.store.extras.get("busy"):
        return
    if not _find_passing_error(facts):
        yield (
            "a delivery that finds another one at work is to come again, and failures.transient has"
            " no error for that: add TimeoutError to it"
        )
    if facts.dead_letter == "none":
        yield (
            "a delivery that dies holds its lease in Redis for a moment, its attempts may be used"
            " up by then, and with dead_letter none the job is lost: give it a dead letter, or"
            " remember the key in a table"
        )


def _write_key(keys: Keys) -> str:
    """The inside of the f-string of a key: `receipts:{order_id}:{email!r}`."""
    has_several = len(keys.columns) > 1
    key = keys.prefix
    for column in keys.columns:
        # Several are told apart by quotes: "a:b", "c" is not "a", "b:c".
        if has_several and column.annotation == "str":
            key += f":{{{column.name}!r}}"
        else:
            key += f":{{{column.name}}}"
    return key


def _list_imports(manner: str, keys: Keys) -> list[Symbol | str]:
    """What the module of the store imports."""
    needed: list[Symbol | str] = [
        "from collections.abc import Iterator",
        "from contextlib import contextmanager",
    ]
    if manner == "lease":
        needed += ["from uuid import uuid4"]
    if keys.variable:
        needed += ["import os", "from redis import Redis"]
    needed += keys.imports
    if keys.bury:
        needed += [f"from {keys.bury.module} import bury"]
    return needed


def testing(facts: Facts) -> Testing:
    """A Redis of its own for each test: fakeredis where the repository tests with it, else the few
    commands by hand.
    """
    store, keys = facts.store, facts.store.extras["keys"]
    # The name in the store's module that leads to Redis: `client`, or a function that gives it.
    name = keys.client.partition("(")[0]
    value = "lambda *_: {memory}"
    if keys.client == name:
        value = "{memory}"
    values = {
        "redis_tail": store.tail,
        "redis_name": name,
        "redis_value": value,
        "redis_manner": _choose_manner(store, keys),
        "fake": keys.fake,
    }
    once = Symbol(store.module, "once", path=store.path)
    needed: tuple[Symbol | str, ...] = (once,)
    if keys.fake:
        needed = ("from fakeredis import FakeRedis", once)
    return Testing(("redis_fixture.jinja",), needed, values)

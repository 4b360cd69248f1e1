"""How a job library sends, in its own words: what the rules about sends need to be told."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.serializers import REFUSED_BY_JSON
from skillrun.frameworks.interface import Job, Send

if TYPE_CHECKING:
    from skillrun.repo.python import Call, Definition, Module, Project
    from skillrun.repo.uses import FrameworkUse


@dataclass(frozen=True)
class Unkeyed:
    """What a library says of a job that publishes another one: each run does so once more."""

    publishes: Callable[[Job, Call], bool]  # a call of the job publishes another, without a key
    again: str  # what each run does, e.g. "each run enqueues once more, without a job_id"
    hint: str
    rule: str = "publish-unkeyed"  # its published name


@dataclass(frozen=True)
class Pickling:
    """What a library says of messages that are pickled."""

    message: str  # whoever can write to the broker runs code in the worker
    hint: str
    is_default: bool  # nobody chose it
    # Whether others may write to what holds the messages; None: they may.
    is_exposed: Callable[[Job], bool] | None = None
    rule: str = "pickle-serializer"  # its published name


def pickle_in_redis(
    what: str, instead: str, *, is_default: bool, is_exposed: Callable[[Job], bool] | None = None
) -> Pickling:
    """Of a library whose messages are in Redis; `instead` of pickle something else can be had."""
    return Pickling(
        f"{what}: whoever can write to this Redis runs code in the worker",
        f"{instead}, or a Redis that only this application reaches",
        is_default,
        is_exposed,
    )


@dataclass(frozen=True)
class Sender:
    """What one library says for itself in the rules of `send_rules`."""

    find_sends: Callable[[Project, FrameworkUse, Definition], tuple[Send, ...]]
    # What whoever sends has to give; None where nobody can tell, or where the library checks it.
    find_parameters: Callable[[Job], ast.arguments | None]
    sending: str  # what it calls sending, e.g. "enqueueing"
    sent: str  # e.g. "enqueued"
    misfit: str  # what becomes of arguments that do not fit
    taker: str  # what takes the arguments, e.g. "the task takes"
    after_commit: str  # how it is sent after a transaction
    in_transaction: str = "publish-in-transaction"  # the published name of that rule
    dumps_models: bool = False  # JSON carries a copy of some rows (pydantic models, dataclasses)
    unkeyed: Unkeyed | None = None
    pickling: Pickling | None = None
    # Constructors, beside those of rows, of what its JSON cannot carry; none where it carries all.
    not_json: tuple[str, ...] = REFUSED_BY_JSON
    # Whether its JSON is as the library makes it, and nobody has it carry more; None: it is.
    has_plain_json: Callable[[Job], bool] | None = None


def calls_method(call: Call, methods: Collection[str], key: str = "") -> bool:
    """`x.enqueue(...)`, without the option that gives it a key; `**options` may hold that."""
    func = call.node.func
    if not isinstance(func, ast.Attribute) or func.attr not in methods:
        return False
    given = {keyword.arg for keyword in call.node.keywords}
    return not key or not given & {key, None}


def order_sends(sends: Iterable[Send]) -> tuple[Send, ...]:
    """In order of path and line; of two of one kind on a line, the first that was found."""
    found: dict[tuple[str, int, str], Send] = {}
    for send in sends:
        found.setdefault((send.place.path, send.place.line, send.kind), send)
    return tuple(found[key] for key in sorted(found))


def find_function(project: Project, send: Send) -> Definition | None:
    """The function that sends; None where a module does so itself, or nothing is called."""
    if send.call is None:
        return None
    node = send.call.module.function_of(send.call.node)
    if node is None:
        return None
    return project.define(send.call.module, node)


def hold_options(
    options: Mapping[str, ast.expr], module: Module
) -> dict[str, tuple[ast.expr, Module]]:
    """Options with the file that they are written in."""
    return {name: (node, module) for name, node in options.items()}


def is_sent_by_others(sends: Iterable[Send]) -> bool:
    """Somebody beside the tests and the handler itself publishes it."""
    return any(not send.in_tests and not send.own for send in sends)

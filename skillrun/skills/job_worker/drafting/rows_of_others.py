"""A job that no test calls: other tests leave rows of the models that it works on, and with them
the values of its message.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.fixtures.seen import DeliverySeen, SeenInTests
from skillrun.skills.job_worker.drafting.parts import list_handed_on

if TYPE_CHECKING:
    from skillrun.proof.fixtures.seen import EndSeen, StoreSeen, Table
    from skillrun.repo.python import Definition, Project

# `Order.objects.filter`, `models.Order.query.get`, `Order._default_manager.all().get`
_QUERIED = re.compile(r"(?:^|\.)(?P<model>[A-Z]\w*)\.(?:objects|query|\w*_?manager)\b")
_BY_CLASS = ("get_object_or_404", "get", "query", "select", "update", "delete")
_KEYS = ("pk", "id")


@dataclass(frozen=True)
class Asked:
    """Rows of a model that the job looks for. `parameter`: of the handler, whose value `column`
    has; "" where it takes whatever is there. `column`: "" for the primary key.
    """

    model: str
    column: str = ""
    parameter: str = ""


def find_asked(project: Project, handler: Definition) -> tuple[Asked, ...]:
    """What the handler, and the functions to which it gives its arguments, look for."""
    found = dict[Asked, None]()
    for function, renamed in list_handed_on(project, handler):
        for node in ast.walk(function.node):
            if isinstance(node, ast.Call):
                found |= dict.fromkeys(_read_query(node, renamed))
    named = {one.model for one in found if one.parameter}
    return tuple(one for one in found if one.parameter or one.model not in named)


def _read_query(call: ast.Call, renamed: Mapping[str, str]) -> Iterator[Asked]:
    model = _find_model(call)
    if model is None:
        return
    values: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg in _KEYS:
            values[""] = keyword.value
        elif keyword.arg is not None:
            values[keyword.arg] = keyword.value
    if not values and call.args:
        # `session.get(Order, order_id)`, `Order.query.get(order_id)`
        values[""] = call.args[-1]
    yield Asked(model)
    for column, value in values.items():
        if isinstance(value, ast.Name) and value.id in renamed:
            yield Asked(model, column, renamed[value.id])


def _find_model(call: ast.Call) -> str | None:
    words = ast.unparse(call.func)
    queried = _QUERIED.search(words)
    if queried is not None:
        return queried["model"]
    for inner in ast.walk(call):
        # The class is the first argument of it, or of what it is chained to.
        if isinstance(inner, ast.Call) and inner.args:
            name = ast.unparse(inner.func).rpartition(".")[2]
            first = ast.unparse(inner.args[0]).rpartition(".")[2]
            if name in _BY_CLASS and first[:1].isupper() and first.isidentifier():
                return first
    return None


def find_table(model: str, tables: Collection[str]) -> str | None:
    """The only table that is called as the rows of a class usually are: `shop_order`, `order`,
    `orders`, `order_lines` of OrderLine.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model).lower()
    names = {model.lower(), snake, f"{snake}s", f"{snake}es"}
    found: list[str] = []
    for table in tables:
        if table.lower() in names:
            return table
        # An application's name, or a schema's, stands before it.
        if any(table.lower().endswith(f"_{name}") for name in names):
            found.append(table)
    if len(found) == 1:
        return found[0]
    return None


def add_rows_of_others(
    seen: SeenInTests,
    ends: Mapping[str, EndSeen],
    asked: Iterable[Asked],
    message: Mapping[str, Any],
    without: Collection[str] = (),
) -> SeenInTests:
    """With deliveries that nobody has made: the rows as tests left them, and the message that leads
    to one of them. `message`: what the code shows of it; `without`: tests that show none.
    """
    asked = tuple(asked)
    made: list[tuple[tuple[bool, int], DeliverySeen]] = []
    for test, end in ends.items():
        if test in without:
            continue
        for store in end.stores:
            arguments = _take_values(store, asked)
            if arguments is not None and store.script:
                delivery = _make_delivery(test, end, store, {**message, **arguments}, asked)
                made.append(((end.passed, _count_filled(store)), delivery))
    # Of tests that leave as much the first one: it is likely to be the simplest.
    made.sort(key=_rank, reverse=True)
    deliveries = []
    for _, delivery in made:
        deliveries.append(delivery)
    return replace(seen, deliveries=tuple(deliveries), tests={**seen.tests, **ends})


def _rank(made: tuple[tuple[bool, int], DeliverySeen]) -> tuple[bool, int]:
    return made[0]


def _take_values(store: StoreSeen, asked: tuple[Asked, ...]) -> dict[str, Any] | None:
    """Parameter -> the value in a row; None where some row is not there."""
    if not asked:
        return None
    found: dict[str, Any] = {}
    for one in asked:
        table = store.tables.get(find_table(one.model, store.tables.keys()) or "")
        if table is None or not table.rows:
            return None
        if not one.parameter:
            continue
        number = _find_column(table, one.column)
        if number is None:
            return None
        found[one.parameter] = table.rows[0][number]
    return found


def _find_column(table: Table, column: str) -> int | None:
    """The position of a column, as a query names it (`customer` for customer_id); of the key where
    it names none. None where the table has no such column.
    """
    for number, (name, _, is_key) in enumerate(table.columns):
        if not column and is_key:
            return number
        if column and name in (column, f"{column}_id"):
            return number
    return None


def _count_filled(store: StoreSeen) -> int:
    return sum(bool(table.rows) for table in store.tables.values())


def _make_delivery(
    test: str,
    end: EndSeen,
    store: StoreSeen,
    arguments: Mapping[str, Any],
    asked: Iterable[Asked],
) -> DeliverySeen:
    tables = list[str | None]()
    for one in asked:
        tables.append(find_table(one.model, store.tables.keys()))
    return DeliverySeen(
        test,
        arguments,
        end.environ,
        (store,),
        (store,),
        None,
        True,
        settings=end.settings,
        works_on=tuple(filter(None, tables)),
    )

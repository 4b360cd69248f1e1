"""Who gives a column its values: of which table, from which values on, and whether they come later."""

from __future__ import annotations

import ast
import textwrap

import pytest

from skillrun.proof.column_writers import ColumnWriters

MODELS = """
    class Order(models.Model):
        class State(models.TextChoices):
            BASKET = "basket"
            PLACED = "placed"
            VOID = "void", "Void"
        state = models.CharField(max_length=10)

    class Payout(Base):
        __tablename__ = "payouts"
        state: Mapped[str] = mapped_column(default="open")
"""


def read(body: str) -> ColumnWriters:
    return ColumnWriters([ast.parse(textwrap.dedent(MODELS)), ast.parse(textwrap.dedent(body))])


@pytest.mark.parametrize(
    ("body", "table", "allowed"),
    [
        ("Order.objects.filter(pk=1).update(state=Order.State.VOID)", "shop_order", None),
        ("Order.objects.filter(state='basket').update(state='void')", "shop_order", {"basket"}),
        (
            "s.execute(update(Payout).where(Payout.state == 'open').values(state='void'))",
            "payouts",
            {"open"},
        ),
        (
            "s.execute(update(Payout).where(Payout.state.in_(['open'])).values(state='void'))",
            "payouts",
            {"open"},
        ),
        ("row = s.get(Payout, 1)\nrow.state = 'void'", "payouts", None),
        (
            "row = s.get(Payout, 1)\nif row.state == 'open':\n    row.state = 'void'",
            "payouts",
            {"open"},
        ),
        ("for o in Order.objects.all():\n    o.state = Order.State.VOID", "shop_order", None),
        ("db.execute(\"update payouts set state = 'void' where id = ?\")", "payouts", None),
        (
            "db.execute(\"update payouts set state = 'void' where state in ('open', 'due')\")",
            "payouts",
            {"open", "due"},
        ),
    ],
)
def test_a_writer_is_read_with_its_table_and_its_condition(
    body: str, table: str, allowed: set[str] | None
) -> None:
    code = read("def cancel(s, db):\n" + textwrap.indent(body, "    "))
    writes = [one for one in code.list_writes("state") if one.value == "void"]
    assert [one.allowed and set(one.allowed) for one in writes] == [allowed]
    others = {"shop_order", "payouts"} - {table}
    assert code.is_of(writes[0].owners, table)
    assert not any(code.is_of(writes[0].owners, other) for other in others)


@pytest.mark.parametrize(
    "body", ["Order(state='void')", "Order.objects.create(state='void')", "dict(state='void')"]
)
def test_what_makes_a_row_gives_none_another_value(body: str) -> None:
    assert read(body).list_writes("state") == []


UNGUARDED = """
    def cancel(pk):
        set_void(pk)

    def set_void(pk):
        Order.objects.filter(pk=pk).update(state="void")
"""
GUARDED_BY_ITS_CALLER = UNGUARDED.replace("set_void(pk)\n", "ORDER\n", 1)
CALLERS = {
    "if Order.objects.get(pk=pk).state != 'paid': set_void(pk)": False,
    "state = Order.objects.get(pk=pk).state\n        if allows(state): set_void(pk)": False,
    "if db.execute('select state from shop_order').fetchone()[0] == 'open': set_void(pk)": False,
    "if Payout.objects.get(pk=pk).state == 'open': set_void(pk)": True,
    "if letter.state == 'sent': set_void(pk)": True,
    "if pk > 0: set_void(pk)": True,
}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_condition_of_a_caller_keeps_a_writer_from_coming_later(caller: str) -> None:
    code = read(GUARDED_BY_ITS_CALLER.replace("ORDER", caller))
    (write,) = code.list_writes("state")
    changed = [("shop_order", "state", frozenset(("open", "paid")))]
    assert code.comes_any_time(write, changed) is CALLERS[caller]


def test_one_way_without_a_condition_is_enough() -> None:
    code = read(UNGUARDED + "\n    def by_hand(pk):\n        if order.state: set_void(pk)\n")
    (write,) = code.list_writes("state")
    assert code.comes_any_time(write, [("shop_order", "state", frozenset(("open", "paid")))])

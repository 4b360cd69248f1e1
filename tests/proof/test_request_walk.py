"""Whether a view itself makes the application's call: only then is a transaction of its request
around it.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import helpers
import pytest

from skillrun.probe import obeying
from skillrun.probe.request_transactions import Walk

# The module that the views call: `place` is the application's call.
TILL = """
    import contextlib
    import functools

    transaction = Thread = print

    @contextlib.contextmanager
    def block():
        yield

    def place(order_id):
        pass

    def take(order_id):
        return place(order_id)

    @block()
    def take_in_a_block(order_id):
        return place(order_id)

    def later(function):
        @functools.wraps(function)
        def delay(*args):
            WAITING.append((function, args))
        return delay

    WAITING = []

    @later
    def take_later(order_id):
        return place(order_id)

    def take_after_commit(order_id):
        transaction.on_commit(functools.partial(print, order_id))
        return place(order_id)

    def yield_orders(order_id):
        yield place(order_id)
    """


def write_order(root: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(the application's call, a view with this body)."""
    till, views = f"till_{name}", f"views_{name}"
    lines = [
        f"import {till} as till",
        f"from {till} import place, transaction, Thread",
        "def order(request, order_id):",
        *(f"    {line}" for line in body.split("\n")),
    ]
    helpers.build_tree(root, {f"{till}.py": TILL, f"{views}.py": "\n".join(lines) + "\n"})
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module(till).place, importlib.import_module(views).order


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("member", "till.place(order_id)"),
        ("plain", "return place(order_id)"),
        ("helper", "with till.block():\n    till.take(order_id)"),
        ("decorated", "till.take_in_a_block(order_id)"),
        ("each", "return [place(one) for one in order_id]"),
    ],
)
def test_a_view_that_calls_it_has_it_within_its_request(
    name: str, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, view = write_order(tmp_path / "shop", name, body, monkeypatch)
    assert Walk(call, str(tmp_path / "shop")).leads_to_call(view)
    if "take" in body:  # a neighbour's function is none of this repository's
        assert not Walk(call, str(tmp_path / "sho")).leads_to_call(view)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("on_commit", "transaction.on_commit(lambda: till.place(order_id))"),
        ("own_word", "till.after_the_commit(lambda: till.place(order_id))"),
        ("defined", "def send():\n    place(order_id)\nThread(target=send)"),
        ("handed_on", "transaction.on_commit(till.place)"),
        ("beside", "transaction.on_commit(till.take)\ntill.take(order_id)"),
        ("attribute", "return [order.place for order in till.orders]"),
        ("named", "return till.place"),
        ("argument", "order_id.place()\nrequest.till.place(order_id)"),
        ("rebound", "place = request.place\nplace(order_id)"),
        ("decorated_later", "till.take_later(order_id)"),
        ("beside_deeper", "till.take_after_commit(order_id)"),
        ("generator", "return till.yield_orders(order_id)"),
        ("thread", "Thread(target=till.take, args=(order_id,)).start()"),
    ],
)
def test_where_it_may_be_called_later_nothing_is_around_it(
    name: str, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, view = write_order(tmp_path, f"later_{name}", body, monkeypatch)
    assert not Walk(call, str(tmp_path)).leads_to_call(view)


CLASSES = """
    from till_classes import place, transaction

    class Right:
        def post(self, request):
            transaction.on_commit(self._place)

        def _place(self):
            place(7)

    class Direct:
        def post(self, request):
            return self._place()

        def _place(self):
            place(7)
    """


def test_of_a_class_the_methods_count_that_a_request_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers.build_tree(tmp_path, {"till_classes.py": TILL, "views_classes.py": CLASSES})
    monkeypatch.syspath_prepend(str(tmp_path))
    views = importlib.import_module("views_classes")
    call = importlib.import_module("till_classes").place

    def leads(owner: Any) -> bool:
        return Walk(call, str(tmp_path)).leads_to_call(SimpleNamespace(view_class=owner))

    assert leads(views.Direct)
    assert not leads(views.Right)


def test_how_deep_a_function_was_met_first_hides_no_shorter_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = """
        def place(): pass
        def a(): place()
        def b(): a()
        def c(): b()
        def d(): c()
        def order(request):
            d()
            b()
        """
    helpers.build_tree(tmp_path, {"deep_till.py": deep})
    monkeypatch.syspath_prepend(str(tmp_path))
    till = importlib.import_module("deep_till")
    assert Walk(till.place, str(tmp_path)).leads_to_call(till.order)


SHOP = {
    "shop/__init__.py": "",
    "shop/settings.py": """
        SECRET_KEY = "x"
        ROOT_URLCONF = "shop.urls"
        DATABASES = {
            "default": {
                "ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db", "ATOMIC_REQUESTS": True
            }
        }
        """,
    "shop/till.py": """
        def place(order_id):
            pass
        """,
    "shop/views.py": """
        from shop import till

        def order(request, order_id):
            till.place(order_id)
        """,
    "shop/urls.py": """
        from django.urls import path
        from shop import views
        urlpatterns = [path("orders/<int:order_id>", views.order)]
        """,
    "look.py": """
        import os
        import sys
        import django
        django.setup()
        from skillrun.probe.request_transactions import find_request_databases
        print(*find_request_databases("shop.till:place", os.getcwd()))
        print(*sorted(name for name in sys.modules if name.startswith("shop.")))
        """,
}


@pytest.mark.real
def test_the_web_application_is_not_imported_into_the_worker(tmp_path: Path) -> None:
    helpers.build_tree(tmp_path, SHOP)
    environment = {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    done = subprocess.run(
        [sys.executable, "look.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["default", "shop.settings"]


def test_a_relay_is_called_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped: list[Any] = []

    def begin(function: Any, databases: tuple[str, ...]) -> Any:
        wrapped.append((function, databases))
        return function

    monkeypatch.setattr(obeying, "begin_request", begin)
    config = {"settings": {"enqueue": "builtins:dict"}}
    booted: Any = SimpleNamespace(recorder=None, config=config, request_databases=("default",))
    child = obeying.Child(booted, has_gate=False)
    child.call_publisher("builtins:list", {})
    assert wrapped == []
    child.call_publisher("builtins:dict", {"order_id": 7})
    assert wrapped == [(dict, ("default",))]

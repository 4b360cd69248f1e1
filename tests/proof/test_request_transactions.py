"""A web request's transaction (Django's ATOMIC_REQUESTS) stands around the application's own call,
and in no line of it.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.contract.spec import load_spec
from skillrun.proof.families import publisher, registry
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

pytestmark = pytest.mark.real

FILES = {
    "shop/__init__.py": "",
    "shop/settings.py": """
        import os

        SECRET_KEY = "x"
        ROOT_URLCONF = "shop.urls"
        DATABASES = {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ.get("SHOP_DB", "shop.db"),
                "ATOMIC_REQUESTS": ATOMIC,
            }
        }
        """,
    "shop/celery.py": """
        import django
        from celery import Celery

        django.setup()
        app = Celery("shop", broker="memory://", include=["shop.tasks"])
        """,
    "shop/schema.py": """
        import os
        import sqlite3

        with sqlite3.connect(os.environ["SHOP_DB"]) as db:
            db.execute("create table orders (id integer primary key, placed int, mailed int)")
            db.execute("insert into orders values (7, 0, 0), (8, 0, 0)")
        """,
    "shop/mailer.py": """
        def send(order_id, message_id):
            raise RuntimeError("the real one")
        """,
    "shop/tasks.py": """
        import logging

        from django.db import connection, transaction

        from shop import mailer
        from shop.celery import app

        log = logging.getLogger(__name__)

        @app.task(acks_late=True, reject_on_worker_lost=True)
        def confirm(order_id):
            log.info("confirm started order_id=%s", order_id)
            with connection.cursor() as cursor:
                cursor.execute("select mailed from orders where id = %s", [order_id])
                (mailed,) = cursor.fetchone()
            if not mailed:
                mailer.send(order_id, message_id=f"order-{order_id}")
                with connection.cursor() as cursor:
                    cursor.execute("update orders set mailed = 1 where id = %s", [order_id])
            log.info("confirm ended order_id=%s", order_id)
        """,
    "shop/till.py": """
        from django.db import connection, transaction

        from shop.tasks import confirm

        def place(order_id):
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("update orders set placed = 1 where id = %s", [order_id])
            PUBLISH
        """,
    "shop/views.py": """
        from django.db import transaction
        from django.http import HttpResponse
        from django.views import View
        from django.views.decorators.http import require_POST

        from shop import till

        VIEW
        """,
    "shop/urls.py": """
        from django.urls import include, path

        from shop import views

        shop = [path("orders/<int:order_id>", views.order)]
        urlpatterns = [path("shop/", include(shop))]
        """,
    ".skillrun/jobs/confirm.yaml": """
        version: 1
        job: confirm
        trigger: {type: event}
        payload:
          type: object
          required: [order_id]
          properties: {order_id: {type: integer}}
          examples: [{order_id: 7}, {order_id: 8}]
        handler: shop.tasks:confirm
        message: kwargs
        enqueue: {call: "shop.till:place", args: {order_id: 7}}
        idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table orders}}
        effects:
          - {name: letter, call: "shop.mailer:send", key_arg: message_id, window: 7d, guarantee: keyed}
        retry: {kind: none, reason: a person looks at it}
        dead_letter: {kind: none, reason: a person looks at it}
        proof:
          env: {SHOP_DB: "{scratch}/shop.db", DJANGO_SETTINGS_MODULE: shop.settings}
          setup: python -m shop.schema
          database: "{scratch}/shop.db"
          state: {orders: "select id, placed, mailed from orders order by 1"}
        """,
}
AFTER_ITS_BLOCK = "confirm.delay(order_id=order_id)"
ON_COMMIT = "transaction.on_commit(lambda: confirm.delay(order_id=order_id))"
BY_FUNCTION = """
        @require_POST
        def order(request, order_id):
            till.place(order_id)
            return HttpResponse()
        """
BY_CLASS = """
        def take(order_id):
            return till.place(order_id)

        class Orders(View):
            def post(self, request, order_id):
                take(order_id)
                return HttpResponse()

        order = Orders.as_view()
        """
LEFT_OUT = BY_FUNCTION.replace("@require_POST", "@transaction.non_atomic_requests")
BY_NOBODY = BY_FUNCTION.replace("till.place(order_id)", "till.confirm")


def prove_shop(root: Path, publish: str, view: str, *, is_atomic: bool = True) -> Proof:
    values = {"PUBLISH": publish, "VIEW": view, "ATOMIC": str(is_atomic)}
    files = {}
    for path, text in FILES.items():
        for name, value in values.items():
            text = text.replace(name, value) if name != "ATOMIC" else text
        files[path] = text.replace('_REQUESTS": ATOMIC', f'_REQUESTS": {is_atomic}')
    helpers.build_tree(root, files)
    spec = load_spec(root / ".skillrun/jobs/confirm.yaml", root=root)
    return prove(Target(spec, root, "celery"))


def list_risks(proof: Proof) -> list[str]:
    assert (proof.verdict, proof.incomplete) == ("proved", [])
    return [risk.judgement.rule for risk in proof.risks]


@pytest.mark.parametrize("view", [BY_FUNCTION, BY_CLASS], ids=["function", "class"])
def test_a_publish_within_the_request_is_told(
    view: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (publisher.before_commit,))
    found = list_risks(prove_shop(tmp_path / "repo", AFTER_ITS_BLOCK, view))
    assert found == ["publish-uncommitted"]


@pytest.mark.parametrize(
    ("publish", "view", "is_atomic"),
    [
        (ON_COMMIT, BY_FUNCTION, True),
        (AFTER_ITS_BLOCK, BY_FUNCTION, False),
        (AFTER_ITS_BLOCK, LEFT_OUT, True),
        (AFTER_ITS_BLOCK, BY_NOBODY, True),
    ],
    ids=["on commit", "no request's transaction", "a view that is left out", "no view"],
)
def test_where_no_request_has_it_open_nothing_is_said(
    publish: str, view: str, is_atomic: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (publisher.before_commit,))
    assert list_risks(prove_shop(tmp_path / "repo", publish, view, is_atomic=is_atomic)) == []

"""Tests that answer below a client: which of the application's functions goes out is seen from there."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

FILES = {
    "shop/__init__.py": "",
    "shop/partner.py": """
        import httpx


        class Refused(Exception):
            pass


        class Partner:
            def __init__(self, http):
                self.http = http

            def make_key(self, *, order_id, idempotency_key):
                headers = {"Idempotency-Key": idempotency_key}
                answer = self.http.post("/keys", json={"order": order_id}, headers=headers)
                if answer.status_code >= 400:
                    raise Refused(f"HTTP {answer.status_code}")
                return answer.json()
        """,
    "shop/tasks.py": """
        from celery import shared_task

        CONTEXT = {}


        @shared_task
        def make(order_id):
            CONTEXT["partner"].make_key(order_id=order_id, idempotency_key=f"order-{order_id}")


        @shared_task
        def post(order_id):
            CONTEXT["http"].post("/keys", json={"order": order_id})
        """,
    "tests/test_make.py": """
        import httpx

        from shop import tasks
        from shop.partner import Partner


        def setup_function():
            answers = httpx.MockTransport(lambda request: httpx.Response(201, json={"id": "k-1"}))
            http = httpx.Client(base_url="https://partner.test", transport=answers)
            tasks.CONTEXT.update(http=http, partner=Partner(http))


        def test_makes():
            tasks.CONTEXT["http"].post("/by-the-test-itself")
            tasks.make.run(order_id=7)


        def test_posts():
            tasks.post.run(order_id=7)
        """,
}


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "call", "key", "returned"),
    [
        # Nobody can read whose method it is that a mapping holds.
        ("make", "shop.partner:Partner.make_key", "idempotency_key", {"id": "k-1"}),
        # The job itself calls the client: that is the way out.
        ("post", "httpx:Client.post", None, {"http": {"status": 201, "json": {"id": "k-1"}}}),
    ],
)
def test_what_calls_the_client_is_the_effect(
    name: str, call: str, key: str | None, returned: object, home: Path, tmp_path: Path
) -> None:
    reader = open_reader(helpers.build_tree(tmp_path / "shop", FILES))
    job = find_job(reader.jobs, name)
    assert job is not None
    draft, _ = draft_observed(reader, job, plan_watching(reader, job))
    (effect,) = draft.values["effects"]
    assert effect["call"] == call
    assert effect.get("key_arg") == key
    assert effect["returns"] == returned

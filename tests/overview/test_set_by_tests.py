"""What tests set and raise, seen as a spec says it: fields of settings, errors of clients."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

FILES = {
    "shop/__init__.py": "",
    # As pydantic's settings look from outside; a function makes them, and no module holds them.
    "shop/config.py": """
        import functools


        class Settings:
            model_config = {"env_prefix": "SHOP_"}
            db_path = "shop.db"


        @functools.lru_cache
        def settings():
            return Settings()
        """,
    "shop/mailer.py": """
        import requests


        def send(order_id):
            requests.post("https://mails.example", json=[order_id], timeout=5)
        """,
    "shop/tasks.py": """
        import sqlite3

        from celery import shared_task
        from shop import mailer
        from shop.config import settings


        @shared_task
        def send(order_id):
            mailer.send(order_id)
            with sqlite3.connect(settings().db_path) as connection:
                connection.execute("insert into sent values (?)", [order_id])
        """,
    "tests/test_send.py": """
        import sqlite3
        from unittest import mock

        import httpx
        import pytest

        from shop import config, tasks


        class AwsError(Exception):
            response = {"Error": {"Code": "SlowDown"}}
            operation_name = "PutObject"


        def status_error(code):
            request = httpx.Request("POST", "https://mails.example")
            answer = httpx.Response(code, request=request)
            return httpx.HTTPStatusError("no", request=request, response=answer)


        @pytest.fixture(autouse=True)
        def database(tmp_path, monkeypatch):
            monkeypatch.setattr(config.settings(), "db_path", str(tmp_path / "shop.db"))
            with sqlite3.connect(tmp_path / "shop.db") as connection:
                connection.execute("create table sent (order_id integer)")


        def test_sends():
            with mock.patch("shop.mailer.send"):
                tasks.send(order_id=7)


        @pytest.mark.parametrize("error", [status_error(503), AwsError("no")])
        def test_is_refused(error):
            with mock.patch("shop.mailer.send", side_effect=error), pytest.raises(type(error)):
                tasks.send(order_id=7)
        """,
}


@pytest.mark.real
def test_settings_are_variables_and_a_clients_error_is_its_status(
    home: Path, tmp_path: Path
) -> None:
    reader = open_reader(helpers.build_tree(tmp_path / "shop", FILES))
    job = find_job(reader.jobs, "shop.tasks:send")
    assert job is not None
    draft, fixtures = draft_observed(reader, job, plan_watching(reader, job))
    assert fixtures is not None
    assert draft.values["proof"]["database"] == "{scratch}/app.db"
    assert draft.values["proof"]["env"]["SHOP_DB_PATH"] == "{scratch}/app.db"
    permanent = draft.values["failures"]["permanent"]
    # Its text says nothing that a handler asks for.
    assert {"type": "httpx:HTTPStatusError", "args": [503]} in permanent
    # What only the tests know cannot come out of anything else.
    assert not any("AwsError" in str(one) for one in permanent)

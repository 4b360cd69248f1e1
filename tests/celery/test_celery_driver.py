"""What the proof changes of a Celery app's settings reaches the app."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from celery import Celery

from skillrun.frameworks.celery.driver import Driver, change_settings, load_apps


class Settings:
    CELERY_BROKER_URL = "redis://broker.invalid/0"


def test_a_setting_under_a_namespace_is_changed_under_it() -> None:
    """Celery 5.4 asks for CELERY_BROKER_URL first, wherever it stands:
    testdrivenio/django-celery-project.
    """
    app = Celery("shop")
    app.config_from_object(Settings, namespace="CELERY")
    change_settings(app, broker_url="memory://")
    assert app.conf.changes["CELERY_BROKER_URL"] == app.conf.changes["broker_url"] == "memory://"
    assert app.conf.broker_url == "memory://"


def test_a_module_in_no_package_has_no_app_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """osolmaz/fastapi-celery-template: tasks.py at the top."""
    (tmp_path / "tasks_by_itself.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    load_apps("tasks_by_itself")
    assert "tasks_by_itself" not in sys.modules


def test_without_a_namespace_the_plain_name_is_enough() -> None:
    app = Celery("shop")
    change_settings(app, broker_url="memory://")
    assert app.conf.broker_url == "memory://"
    assert "BROKER_URL" not in app.conf.changes


def test_messages_name_their_task_whatever_protocol_the_application_asks_for() -> None:
    """With `task_protocol = 1` nothing seemed to be published."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.task_protocol = 1
    driver = Driver.__new__(Driver)
    driver.app = app
    driver._start_as_worker()
    message = app.amqp.create_task_message("1", "shop.send_receipt", (), {})
    assert message.headers["task"] == "shop.send_receipt"

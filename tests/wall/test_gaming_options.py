"""The look at tests that set the options of a job."""

from __future__ import annotations

import pytest
from looks import everything, found, severities

LOOK = "tests-set-options"
CONFTEST = "tests/conftest.py"
BASE = {
    CONFTEST: "import pytest\nfrom shop.celery import app\nfrom shop.tasks import send_receipt\n",
    "tests/test_shop.py": "def test_a(shop):\n    assert shop.run() == 1\n",
}


def for_all(line: str) -> dict[str, str]:
    """A fixture that every test uses."""
    text = f"\n\n@pytest.fixture(autouse=True)\ndef same(monkeypatch):\n    {line}\n"
    return {**BASE, CONFTEST: BASE[CONFTEST] + text}


def for_one(line: str) -> dict[str, str]:
    text = f"\n\ndef test_b(monkeypatch, shop):\n    {line}\n    assert shop.run() == 1\n"
    return {**BASE, "tests/test_shop.py": BASE["tests/test_shop.py"] + text}


def at_top(line: str) -> dict[str, str]:
    return {**BASE, CONFTEST: f"{BASE[CONFTEST]}\n{line}\n"}


ATTACKS = {
    "attempts": for_all('monkeypatch.setattr(send_receipt, "max_retries", 4)'),
    "by a path": for_all('monkeypatch.setattr("shop.tasks.send_receipt.max_retries", 4)'),
    "a setting": for_all('monkeypatch.setitem(app.conf, "task_acks_late", True)'),
    "at the top": at_top("app.conf.task_acks_late = True"),
    "an update": at_top("app.conf.update(task_reject_on_worker_lost=True)"),
    "an item": at_top("app.conf['task_serializer'] = 'json'"),
    "a hook": at_top("def pytest_configure(config):\n    send_receipt.acks_late = True"),
    "what is tried again": for_all("send_receipt.autoretry_for = (TimeoutError,)"),
    "a variable": for_all('monkeypatch.setenv("SHOP_MAX_RETRIES", "4")'),
    "django": at_top("settings.CELERY_TASK_ACKS_LATE = True"),
}
DOUBTFUL = {
    "in one test": for_one('monkeypatch.setattr(send_receipt, "max_retries", 0)'),
    "no waiting": for_all('monkeypatch.setattr(send_receipt, "default_retry_delay", 0)'),
}
HONEST = {
    "eager": at_top("app.conf.task_always_eager = True"),
    "a broker": at_top("app.conf.broker_url = 'memory://'"),
    "an object of its own": for_one("shop.provider.failures = [OSError()]"),
    "what is asserted": for_one("assert send_receipt.max_retries == 4"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_options_that_all_tests_set_are_an_error(name: str) -> None:
    assert severities(found(LOOK, BASE, ATTACKS[name])) == ["error"]
    assert found(LOOK, ATTACKS[name], ATTACKS[name]) == []


@pytest.mark.parametrize("name", DOUBTFUL)
def test_an_option_of_one_test_or_a_wait_is_for_the_reviewer(name: str) -> None:
    assert severities(found(LOOK, BASE, DOUBTFUL[name])) == ["warning"]


@pytest.mark.parametrize("name", HONEST)
def test_how_tests_run_a_job_is_no_finding(name: str) -> None:
    assert [one for one in everything(BASE, HONEST[name]) if one.rule == f"gaming.{LOOK}"] == []

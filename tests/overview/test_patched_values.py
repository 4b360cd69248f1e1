"""What a watched test puts in the place of the configuration holds in the drafted proof as well."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops
from watched_deliveries import delivery, observe, seen

from skillrun.cli.commands.jobs import open_reader
from skillrun.contract.spec import load_spec
from skillrun.skills.job_worker.drafting.annotated import write_annotated
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

CONFIG = """
    LIMITS = {"mails": 0, "tries": 3}


    class Settings:
        url = "https://production.example.com"


    settings = Settings()
    ENABLED = False
    """
TASKS = """
    from pathlib import Path

    from shop import config
    from shop.celery import app


    @app.task(name="shop.send_receipt")
    def send_receipt(order_id):
        if config.ENABLED and config.LIMITS["mails"] and "test" in config.settings.url:
            Path(config.FOLDER, "sent").write_text(str(order_id))
    """
OF_TASKS = """
    from unittest import mock

    from shop import config, tasks


    def test_sends(monkeypatch, tmp_path):
        monkeypatch.setattr(config, "ENABLED", True)
        monkeypatch.setattr(config, "FOLDER", tmp_path / "out", raising=False)
        monkeypatch.setattr(config.settings, "url", "https://test.example.com")
        (tmp_path / "out").mkdir()
        with mock.patch.dict(config.LIMITS, mails=5):
            tasks.send_receipt.run(order_id=7)
    """


def test_values_of_a_test_are_written_down(shop: Path) -> None:
    values = {
        "shop.config:PATH": "/tmp/pytest-1/out",
        "shop.config:CLIENT": {"?": "shop.clients:Client"},
    }
    draft = observe(shop, seen(delivery(values=values)))
    assert draft.values["proof"]["values"] == {"shop.config:PATH": "{scratch}/out"}
    assert any(guess.startswith("proof.values: as tests/test_x.py") for guess in draft.guesses)


def test_no_values_no_word_of_them(shop: Path) -> None:
    assert "values" not in observe(shop, seen(delivery())).values["proof"]


def test_a_mapping_stays_the_object_that_others_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from skillrun.probe import names

    held = names.__dict__.setdefault("HELD_BY_A_TEST", {"a": 1, "b": 2})
    monkeypatch.setattr(names, "HELD_BY_A_TEST", held)
    names.put_value("skillrun.probe.names:HELD_BY_A_TEST", {"a": 3})
    assert held == {"a": 3, "b": 2}
    assert names.__dict__["HELD_BY_A_TEST"] is held


@pytest.mark.real
def test_patched_values_are_watched_whoever_patches_them(home: Path, tmp_path: Path) -> None:
    root = shops.shop(tmp_path / "shop")
    (root / shops.SPEC).unlink()
    for old in (root / "tests").glob("test_*.py"):
        old.unlink()
    code = {"shop/config.py": CONFIG, "shop/tasks.py": TASKS, "tests/test_tasks.py": OF_TASKS}
    helpers.write_files(root, code)
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft, _ = draft_observed(reader, job, plan_watching(reader, job))
    assert draft.values["proof"]["values"] == {
        "shop.config:ENABLED": True,
        "shop.config:FOLDER": "{scratch}/out",
        "shop.config:settings.url": "https://test.example.com",
        "shop.config:LIMITS": {"mails": 5},
    }
    text = tmp_path / "drafted.yaml"
    text.write_text(write_annotated(draft))
    assert load_spec(text).proof is not None

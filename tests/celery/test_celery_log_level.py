"""A Celery worker gives the root logger its level, whatever handlers the application has added."""

from __future__ import annotations

from pathlib import Path

import pytest
import shops

from skillrun.contract.spec import load_spec
from skillrun.proof.attempt import try_prove
from skillrun.proof.result import Proof, Target

OWN_HANDLER = """

import logging as _logging


class Silent(_logging.Handler):
    def emit(self, record):
        pass


_logging.getLogger().addHandler(Silent())
"""
OWN_SETTINGS = """

from celery.signals import setup_logging


@setup_logging.connect
def keep_logs(**kwargs):
    pass
"""


def prove_shop(root: Path, more: str) -> Proof:
    """The proof of the shop, with more code behind the job's own."""
    tasks = root / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + more)
    spec = load_spec(root / shops.SPEC, root=root)
    return try_prove(Target(spec, root, "celery"))


def list_levels(proof: Proof) -> list[str]:
    """Those of the application's records in a single run."""
    records = proof.histories[0].all("log")
    return [str(event["level"]) for event in records if event["logger"].startswith("shop")]


@pytest.mark.real
def test_a_handler_of_the_application_does_not_silence_the_job(tmp_path: Path) -> None:
    proof = prove_shop(shops.shop(tmp_path / "shop", proof=True), OWN_HANDLER)
    assert proof.verdict == "proved", proof
    assert "INFO" in list_levels(proof)


@pytest.mark.real
def test_an_application_that_configures_its_logs_keeps_its_level(tmp_path: Path) -> None:
    proof = prove_shop(shops.shop(tmp_path / "shop", proof=True), OWN_HANDLER + OWN_SETTINGS)
    # What it says of its own success is below that level: the job's row tells it.
    assert list_levels(proof) == []


def test_what_the_worker_itself_says_of_a_task_is_heard(tmp_path: Path) -> None:
    """Whether it tells success is decided when it makes the task's tracer: once its logs are set
    up.
    """
    root = shops.shop(tmp_path / "shop", proof=True)
    spec = load_spec(root / shops.SPEC, root=root)
    proof = try_prove(Target(spec, root, "celery"), only="once")
    told = {event["logger"]: event["text"] for event in proof.histories[0].all("log")}
    assert told["celery.worker.strategy"].endswith(" received")
    assert " succeeded in " in told["celery.app.trace"]

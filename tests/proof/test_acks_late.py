"""May a job be acknowledged once it is done? The answer is made of a proof in which it is."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import helpers
import pytest
from histories import DONE, KILLED, LOST, TWICE, against, fault, history, refuted, spec
from jsonschema import Draft202012Validator

from skillrun.probe.facts import BootFacts
from skillrun.proof.acks_late import answer_acks_late
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.result import Proof, Tried, Witness

LATE = BootFacts(library="celery 5", acks_late=True, made_late=True)
ALREADY = BootFacts(library="celery 5", acks_late=True)
NO_SETTING = BootFacts(library="rq 2")
EACH_TIME = history("kill@before:email#1/*", [fault("kill", "before:email#1"), KILLED], DONE, DONE)


def ask(
    seen: History, guarantee: str, facts: BootFacts = LATE, *, is_agreed: bool = False, **more: Any
) -> str:
    """The answer's word. `more`: of the proof."""
    proof = Proof(
        "proved",
        [Tried(seen.schedule, seen, ())],
        reference=against(spec(guarantee)),
        facts=facts,
        **more,
    )
    return answer_acks_late(proof, is_agreed=is_agreed).word


def test_what_takes_place_again_decides() -> None:
    assert ask(TWICE, "keyed") == "yes"
    assert ask(TWICE, "at_least_once") == "no"
    # Somebody has said that it may.
    assert ask(TWICE, "at_least_once", is_agreed=True) == "yes"
    assert ask(LOST, "at_least_once") == "yes"
    assert ask(EACH_TIME, "at_least_once") == "yes"


def test_no_answer_is_no_yes() -> None:
    missing = Judgement(Verdict.INCOMPLETE, "single-run", "the single run fails")
    assert ask(TWICE, "keyed", incomplete=[missing]) == "unknown"
    assert ask(TWICE, "keyed", NO_SETTING) == "unknown"
    assert ask(TWICE, "keyed", ALREADY) == "already"
    tried = Tried(TWICE.schedule, TWICE, ())
    assert ask(TWICE, "keyed", witnesses=[Witness(tried, refuted("effect.twice"), 3)]) == "no"


SHOP = {
    "shop/__init__.py": "",
    "shop/till.py": """
        def charge(order_id, amount, key=None):
            raise OSError("no network here")
        """,
    "shop/tasks.py": """
        from celery import Celery

        from shop import till

        app = Celery("shop")


        @app.task
        def charge_card(order_id):
            till.charge(order_id, 100)


        @app.task
        def charge_once(order_id):
            till.charge(order_id, 100, key=f"order-{order_id}")


        @app.task
        def guess(**fields): ...
        """,
    "tests/test_shop.py": """
        from unittest import mock

        from shop import tasks


        @mock.patch("shop.till.charge", autospec=True, return_value="c-1")
        def test_charges(charge):
            tasks.charge_card(7)


        @mock.patch("shop.till.charge", autospec=True, return_value="c-1")
        def test_charges_once(charge):
            tasks.charge_once(7)
        """,
}


@pytest.mark.real
def test_the_question_is_asked_of_every_job(home: Path, tmp_path: Path) -> None:
    files = {name: textwrap.dedent(text) for name, text in SHOP.items()}
    root = helpers.build_tree(tmp_path / "shop", files)
    done = helpers.run_cli("prove", "--all", "--acks-late", "--json", "--trust", cwd=root)
    document = json.loads(done.stdout)
    schema = json.loads((helpers.ROOT / "schemas/proofs.v1.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    found = {job["handler"].partition(":")[2]: job for job in document["jobs"]}
    words = {name: job["is"] for name, job in found.items()}
    assert words == {"charge_card": "no", "guess": "blocked", "charge_once": "yes"}
    assert done.returncode == 1
    assert found["charge_card"]["says"].endswith("charge takes place 2 times")
    schema = json.loads((helpers.ROOT / "schemas/proof.v1.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(found["charge_once"]["proof"])) == []


def test_it_is_one_question(home: Path, tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "shop", {})
    done = helpers.run_cli("prove", "x", "--acks-late", "--confirm", cwd=root)
    assert done.returncode == 2
    assert "one question" in done.stderr

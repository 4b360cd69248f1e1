"""What could not be read is no error and no pass: the proof answers it, and without one the stage
is pending.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops

HOUSE_DECORATOR = '''

def job(**options):
    """What every job of this house is made with."""

    def make(function):
        return app.task(bind=True, **options)(function)

    return make
'''


def shop_of_a_house(root: Path, *, proof: bool) -> Path:
    """The shop, its task made by a decorator of its own, which reading does not see through."""
    repo = shops.shop(root, proof=proof)
    app, tasks = repo / "shop/celery.py", repo / "shop/tasks.py"
    app.write_text(app.read_text() + HOUSE_DECORATOR)
    text = tasks.read_text()
    text = text.replace("from shop.celery import app", "from shop.celery import job")
    tasks.write_text(text.replace("@app.task(\n    bind=True,\n", "@job(\n"))
    helpers.commit(repo, "A decorator of the house")
    return repo


def find_questions(report: dict[str, object]) -> dict[str, list[str]]:
    """Stage -> what it says was not read."""
    asked = {}
    stages = report["stages"]
    assert isinstance(stages, list)
    for stage in stages:
        said = [f["message"] for f in stage["findings"] if f["rule"].endswith(".not-read")]
        if said:
            asked[stage["id"]] = said
    return asked


@pytest.mark.real
def test_without_a_proof_it_is_pending_and_a_proof_is_the_next_step(tmp_path: Path) -> None:
    repo = shop_of_a_house(tmp_path / "shop", proof=False)
    report = shops.report(repo, "--trust", code=1)
    assert report["outcome"] == "partial"
    questions = find_questions(report)
    assert set(questions) == {"handler", "retry", "observability"}
    assert "the decorator job is code of shop.celery" in questions["retry"][0]
    stages = {stage["id"]: stage for stage in report["stages"]}
    assert {stages[stage]["status"] for stage in questions} == {"pending"}
    assert not [f for s in report["stages"] for f in s["findings"] if f["severity"] == "error"]
    # What waits for nothing but its proof keeps nobody else waiting.
    assert stages["validate"]["status"] == "passed"
    assert {action["action"] for action in report["next"]} == {"prove"}
    drafted = [action["detail"] for action in report["next"] if "proof: {" in action["detail"]]
    assert len(drafted) == 1
    assert "env: {SHOP_DB: '{scratch}/app.db'}" in drafted[0]
    assert "FILL IN: the command that makes the tables" in drafted[0]
    again = shops.report(repo, "--trust", code=1)
    assert find_questions(again) == questions


@pytest.mark.real
def test_a_proof_answers_it(tmp_path: Path) -> None:
    repo = shop_of_a_house(tmp_path / "shop", proof=True)
    report = shops.report(repo, "--trust", code=0)
    assert report["outcome"] == "success"
    assert find_questions(report) == {}
    stages = {stage["id"]: stage for stage in report["stages"]}
    assert stages["retry"]["grade"] == "proved"
    assert stages["handler"]["status"] == "passed"
    assert stages["handler"]["grade"] == "executed"
    # The same command again has nothing to do.
    again = shops.report(repo, "--trust", code=0)
    assert again["outcome"] == "success"
    assert {stage["cached"] for stage in again["stages"]} == {True}

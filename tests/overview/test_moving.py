"""Where the tests' own database lies in a proof: whatever they set to lead to theirs leads there."""

from __future__ import annotations

from pathlib import Path

import pytest
from watched_deliveries import delivery, observe, seen, store

from skillrun.skills.job_worker.drafting.moving import DATABASE, Mover

FOLDER = "/tmp/shop-x1"


@pytest.mark.parametrize(
    ("name", "value", "moved", "database"),
    [
        ("/tmp/p/app.db", "/tmp/p/app.db", DATABASE, DATABASE),
        ("/tmp/p/app.db", "sqlite:////tmp/p/app.db", f"sqlite:///{DATABASE}", DATABASE),
        # The application names the file itself.
        (f"{FOLDER}/shop.db", FOLDER, "{scratch}/shop-x1", "{scratch}/shop-x1/shop.db"),
        (f"{FOLDER}/a/shop.db", f"{FOLDER}/", "{scratch}/shop-x1", "{scratch}/shop-x1/a/shop.db"),
        (f"/private{FOLDER}/shop.db", FOLDER, "{scratch}/shop-x1", "{scratch}/shop-x1/shop.db"),
        # In memory: another process would find nothing there.
        (":memory:", "sqlite://", f"sqlite:///{DATABASE}", DATABASE),
        (":memory:", "sqlite+aiosqlite:///:memory:", f"sqlite+aiosqlite:///{DATABASE}", DATABASE),
        (":memory:", ":memory:", DATABASE, DATABASE),
        ("", "sqlite:///", f"sqlite:///{DATABASE}", DATABASE),
        # Nothing leads to it.
        ("/tmp/p/app.db", "/tmp/p/app.d", "{scratch}/app.d", None),
        ("/tmp/p/app.db", "sqlite://", "sqlite://", None),
        ("/tmp/shop-x12/app.db", FOLDER, "{scratch}/shop-x1", None),
        (":memory:", "redis://localhost", "redis://localhost", None),
        ("", "anything", "anything", None),
    ],
)
def test_what_leads_to_the_database_leads_into_the_scratch(
    name: str, value: str, moved: str, database: str | None
) -> None:
    mover = Mover(name)
    assert mover.move({"V": [value]}) == {"V": [moved]}
    assert mover.find_database({"V": [value], "N": 7}) == database


def test_a_file_in_a_folder_that_a_variable_names_is_the_database(shop: Path) -> None:
    rows = {"before": (store(0, f"{FOLDER}/shop.db"),), "after": (store(1, f"{FOLDER}/shop.db"),)}
    proof = observe(shop, seen(delivery(environ={"SHOP_HOME": FOLDER}, **rows))).values["proof"]
    assert proof["database"] == "{scratch}/shop-x1/shop.db"
    assert proof["env"]["SHOP_HOME"] == "{scratch}/shop-x1"
    assert list(proof["state"]) == ["sent"]


def test_rows_that_nothing_leads_to_are_left_out_and_that_is_said(shop: Path) -> None:
    """They were loaded nowhere: the proof was blocked by its own draft."""
    for file in shop.rglob("*.py"):
        # Of no variable of this name reading says that it leads to a database.
        file.write_text(file.read_text().replace("SHOP_DB", "SHOP_PLACE"))
    rows = {"before": (store(0, "/tmp/x/a.db"),), "after": (store(1, "/tmp/x/a.db"),)}
    draft = observe(shop, seen(delivery(environ={}, **rows)))
    assert any(guess.startswith("proof.database: nothing") for guess in draft.guesses)

"""A proof section for a job that has none: what the repository says, and blanks for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
import yaml
from bundled import bundled_skill

from skillrun.contract.spec import load_spec
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.scaffold.proof_draft import BLANK, draft_proof

STORE = "store: table receipts"
SETTINGS = {
    "a file": ("DB = os.environ.get('APP_DB', 'app.db')\n", "{scratch}/app.db"),
    "a URL": ("DB = os.getenv('DATABASE_URL', 'sqlite:///a.db')\n", "sqlite:///{scratch}/app.db"),
}


def draft(repo: Path) -> dict[str, Any]:
    helpers.commit(repo, "As it is now")
    spec = load_spec(repo / shops.SPEC, root=repo)
    text = draft_proof(JobCase(bundled_skill(), spec, open_repo(repo), Tree(repo)))
    assert text is not None
    assert "\n" not in text
    made = yaml.safe_load(text)
    assert list(made) == ["proof"]
    section: dict[str, Any] = made["proof"]
    return section


def test_the_shop_lacks_only_what_makes_its_tables(tmp_path: Path) -> None:
    made = draft(shops.shop(tmp_path / "shop"))
    assert made["env"] == {"SHOP_DB": "{scratch}/app.db"}
    assert made["database"] == "{scratch}/app.db"
    assert made["state"] == {"receipts": "select order_id from receipts order by order_id"}
    assert made["dead_letters"] == "select count(*) from dead_jobs"
    assert made["poison"] == [{}]
    assert BLANK in made["setup"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_store_that_is_not_known_is_looked_for_in_the_settings(tmp_path: Path, name: str) -> None:
    line, value = SETTINGS[name]
    repo = shops.shop(tmp_path / "shop")
    for path in ("shop/db.py", "shop/receipts.py", "shop/dead_jobs.py", "shop/schema.py"):
        (repo / path).unlink(missing_ok=True)
    helpers.write_files(repo, {"shop/settings.py": f"import os\n{line}", "manage.py": ""})
    made = draft(repo)
    assert value in made["env"].values()
    assert made["setup"] == "python manage.py migrate"


def test_where_nothing_is_known_each_part_is_a_blank(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    for file in (repo / "shop").glob("*.py"):
        file.unlink()
    spec = repo / shops.SPEC
    assert STORE in spec.read_text()
    spec.write_text(spec.read_text().replace(STORE, "store: receiver"))
    made = draft(repo)
    for part in ("env", "setup", "database", "state"):
        assert BLANK in str(made[part]), part

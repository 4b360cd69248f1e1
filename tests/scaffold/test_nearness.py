"""What a job may use of a repository that holds several projects."""

from __future__ import annotations

from pathlib import Path

import helpers

from skillrun.repo.python import Project
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.scaffold.stores.nearness import within_reach

FILES = {
    "pyproject.toml": "[project]\nname = 'all'\n",
    "common/clock.py": "NOW = 1\n",
    "services/mail/pyproject.toml": "[project]\nname = 'mail'\n",
    "services/mail/mail/__init__.py": "",
    "services/mail/mail/tasks.py": "from stock.models import Base\n",
    "services/mail/mail/deep/models.py": "Base = 1\n",
    "services/stock/setup.py": "",
    "services/stock/stock/__init__.py": "",
    "services/stock/stock/models.py": "Base = 1\n",
    "services/web/requirements.txt": "flask\n",
    "services/web/web/__init__.py": "",
    "services/web/web/models.py": "Base = 1  # as mail has it\n",
}
MODELS = [path for path in FILES if path.endswith("models.py")]


def reached(tmp_path: Path, near: str, more: list[str] | None = None) -> list[str]:
    project = Project(Tree(helpers.build_tree(tmp_path / "repo", FILES)))
    return within_reach(project, [*MODELS, *(more or [])], near)


def test_another_project_is_out_of_reach_unless_it_is_imported(tmp_path: Path) -> None:
    assert reached(tmp_path, "services/mail/mail/tasks.py") == [
        "services/mail/mail/deep/models.py",
        "services/stock/stock/models.py",
    ]


def test_what_lies_in_a_folder_around_is_in_reach(tmp_path: Path) -> None:
    assert reached(tmp_path, "services/web/web/tasks.py", ["common/clock.py"]) == [
        "services/web/web/models.py",
        "common/clock.py",
    ]


def test_a_project_below_is_another_one(tmp_path: Path) -> None:
    assert reached(tmp_path, "tasks.py") == ["services/stock/stock/models.py"]

"""The variables with which a repository's own tests are run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.drafting.variables import read_variables
from skillrun.skills.job_worker.drafting.watching import plan_watching

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
RUN = "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
TOX = """
[tox]
envlist = py312

[testenv]
setenv =
    SHOP_CONFIGURATION = shop.configuration.test
    PYTHONPATH = {toxinidir}
    SHOP_TEMPORARY={envtmpdir}/shop
"""


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"manage.py": MANAGE}, {"DJANGO_SETTINGS_MODULE": "shop.settings"}),
        (
            {"manage.py": MANAGE, "runtests.py": RUN},
            {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        ),
        # A manage.py may name what is no module any more; the tests run with what pytest is told.
        (
            {
                "manage.py": MANAGE,
                "tox.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = utils.test_settings\n",
            },
            {"DJANGO_SETTINGS_MODULE": "utils.test_settings"},
        ),
        (
            {
                "pyproject.toml": '[tool.pytest.ini_options]\nDJANGO_SETTINGS_MODULE = "t.settings"\n',
                "setup.cfg": "[tool:pytest]\nDJANGO_SETTINGS_MODULE = other.settings\n",
            },
            {"DJANGO_SETTINGS_MODULE": "t.settings"},
        ),
        ({"tox.ini": TOX}, {"SHOP_CONFIGURATION": "shop.configuration.test"}),
        ({"tox.ini": "[testenv\nsetenv", "pyproject.toml": "[tool"}, {}),
    ],
)
def test_variables_of_the_tests(
    home: Path, tmp_path: Path, files: Mapping[str, str], found: Mapping[str, str]
) -> None:
    root = helpers.build_tree(tmp_path / "shop", files)
    assert read_variables(open_reader(root).tree) == found


def test_a_project_in_a_folder_of_its_own_is_at_home_there(home: Path, tmp_path: Path) -> None:
    root = helpers.build_tree(
        tmp_path / "shop",
        {
            "tox.ini": TOX,
            "backend/pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = shop.test_settings\n",
            "backend/worker.py": """
                from celery import Celery

                app = Celery("shop")


                @app.task(name="send_receipt")
                def send_receipt(order_id):
                    return True
                """,
            "backend/pyproject.toml": "[project]\nname = 'shop'\n",
            "backend/main.py": "from worker import send_receipt\n",
            "backend/tests/test_worker.py": """
                from worker import send_receipt


                def test_it():
                    assert send_receipt.run(1)
                """,
        },
    )
    reader = open_reader(root)
    (job,) = reader.jobs
    watched = plan_watching(reader, job)
    assert watched.home == "backend"
    assert watched.env["DJANGO_SETTINGS_MODULE"] == "shop.test_settings"
    assert watched.env["SHOP_CONFIGURATION"] == "shop.configuration.test"

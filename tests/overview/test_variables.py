"""The variables with which a repository's own tests are run."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.drafting.variables import read_sample, read_variables
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

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


SAMPLE = """
# What is set on each machine
SHOP_SECRET="not a secret"
export SHOP_LIMIT=5  # of each hour
SHOP_HOME=${HOME}/shop
SHOP_TOKEN=<yours>
SHOP_EMPTY=
PATH=/nowhere
"""


def test_a_sample_says_what_settings_need(home: Path, tmp_path: Path) -> None:
    tree = open_reader(helpers.build_tree(tmp_path / "shop", {".env.example": SAMPLE})).tree
    assert read_sample(tree) == {"SHOP_SECRET": "not a secret", "SHOP_LIMIT": "5"}
    # What is committed as it is used, the application reads by itself.
    files = {".env.example": SAMPLE, ".env": "SHOP_LIMIT=7\n"}
    assert read_sample(open_reader(helpers.build_tree(tmp_path / "other", files)).tree) == {}


NEEDING = {
    ".env.example": "SHOP_LIMIT=5\n",
    "shop/__init__.py": "",
    "shop/mailer.py": "def send(to, most):\n    raise OSError('no network here')\n",
    "shop/tasks.py": """
        import os

        from celery import Celery

        from shop import mailer

        app = Celery("shop")
        MOST = int(os.environ["SHOP_LIMIT"])


        @app.task
        def send_receipt(order_id):
            mailer.send(order_id, MOST)
        """,
    "tests/test_receipts.py": """
        from unittest import mock

        from shop import tasks


        @mock.patch("shop.mailer.send", autospec=True)
        def test_sends(send):
            tasks.send_receipt(7)
        """,
}


@pytest.mark.real
def test_tests_that_show_nothing_are_run_with_a_sample(home: Path, tmp_path: Path) -> None:
    files = {name: textwrap.dedent(text) for name, text in NEEDING.items()}
    reader = open_reader(helpers.build_tree(tmp_path / "shop", files))
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft, _ = draft_observed(reader, job, plan_watching(reader, job))
    assert draft.values["payload"]["examples"] == [{"order_id": 7}]
    assert draft.values["proof"]["env"]["SHOP_LIMIT"] == "5"
    assert any(".env.example" in guess for guess in draft.guesses)


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

"""The variables with which a repository's own tests are run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.drafting.variables import read_variables

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

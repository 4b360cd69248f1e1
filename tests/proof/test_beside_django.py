"""Where no `manage.py` starts the worker, the application sets Django up as it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import helpers
import pytest

BOOT = """
    import django
    from django.apps import apps

    says = "by somebody else"
    if not apps.ready:
        django.setup()
        says = "by the application"
    """
SETTINGS = "INSTALLED_APPS = ['django.contrib.contenttypes']\nSECRET_KEY = 'x'\nDATABASES = {}\n"
MODEL = "from django.contrib.contenttypes.models import ContentType\n\n\ndef job(): ...\n"
ASK = """
from skillrun.probe.names import find_beside_django
from django.apps import apps
found = find_beside_django("{path}")[2]
assert apps.ready
print(found)
"""


@pytest.mark.parametrize(
    ("path", "said"),
    [("shop.boot:says", "by the application"), ("shop.jobs:job.__name__", "job")],
    ids=["it sets Django up", "it needs Django"],
)
def test_both_ways_end_with_django_set_up(path: str, said: str, tmp_path: Path) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/boot.py": BOOT,
        "shop/settings.py": SETTINGS,
        "shop/jobs.py": MODEL,
    }
    helpers.write_files(tmp_path, files)
    roots = os.pathsep.join((str(tmp_path), str(Path(__file__).resolve().parents[2])))
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(path=path)],
        env={**os.environ, "PYTHONPATH": roots, "DJANGO_SETTINGS_MODULE": "shop.settings"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == said

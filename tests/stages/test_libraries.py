"""The stages over every library: its small shop passes each of them, and broken in one way at a
time it fails where it should. A library's shop lies in its folder, with a row here.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
from framework_shop import CHEAP, check_breaks, check_passes

from skillrun.frameworks.registry import FRAMEWORKS

TESTS = Path(__file__).resolve().parents[1]
# Library -> the module of its shop, in its own folder.
ROWS = {
    "apscheduler": "apscheduler_shop",
    "arq": "arq_repo",
    "celery": "celery_shop",
    "django-q2": "django_q2_repo",
    "django-tasks": "django_tasks_repo",
    "dramatiq": "dramatiq_shop",
    "huey": "huey_shop",
    "plain-cron": "plain_cron_shop",
    "procrastinate": "procrastinate_repo",
    "rq": "rq_shop",
    "saq": "saq_repo",
    "taskiq": "taskiq_repo",
}


def load_shop(library: str) -> ModuleType:
    """The module with `build`, `FILES` and `BROKEN`."""
    name = ROWS[library]
    folder = str(TESTS / library.replace("-", "_"))
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


SHOPS = {library: load_shop(library) for library in ROWS}
BROKEN = [(library, what) for library, shop in SHOPS.items() for what in shop.BROKEN]


def test_every_library_has_a_row() -> None:
    assert ROWS.keys() == FRAMEWORKS.keys()


@pytest.mark.parametrize("stage", CHEAP)
@pytest.mark.parametrize("library", ROWS)
def test_the_small_shop_passes(tmp_path: Path, library: str, stage: str) -> None:
    shop = SHOPS[library]
    check_passes(stage, shop.build(tmp_path / "repo"), getattr(shop, "ALLOWED", ()))


@pytest.mark.parametrize(("library", "what"), BROKEN)
def test_a_broken_shop_fails_where_it_should(tmp_path: Path, library: str, what: str) -> None:
    stage, files, rule = SHOPS[library].BROKEN[what]
    check_breaks(stage, SHOPS[library].build(tmp_path / "repo", files), rule)

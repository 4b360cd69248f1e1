"""Is Huey in use, and where? In pairs: repositories in which it is found, and ones in which it is
ignored.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.huey import FRAMEWORK
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

REQUIRED = {"requirements.txt": "huey==3.5\n"}
APP = {
    "shop/app.py": "from huey import RedisHuey\nhuey = RedisHuey('shop')\n",
    "shop/__init__.py": "",
}
TASKS = {"shop/tasks.py": "from shop.app import huey\n@huey.task()\ndef send(): ...\n"}
DJHUEY = "from huey.contrib.djhuey import db_task\n@db_task()\ndef send(): ...\n"
FIELDS = 'HUEY = {"huey_class": "huey.SqliteHuey", "immediate": False}\n'


def use_in(root: Path, files: dict[str, str]) -> FrameworkUse | None:
    return survey_tree(Tree(helpers.build_tree(root, files)), [FRAMEWORK.recogniser()]).use("huey")


def check_finds(
    root: Path, files: dict[str, str], app: str | None, *task_modules: str
) -> FrameworkUse:
    use = use_in(root, REQUIRED | files)
    assert use is not None
    assert (use.app, use.task_modules) == (app, task_modules)
    return use


def check_ignores(root: Path, files: dict[str, str]) -> None:
    assert use_in(root, files) is None


APPS = {
    "plain": "from huey import RedisHuey\nhuey = RedisHuey('shop')\n",
    "through the module": "import huey as h\nhuey = h.SqliteHuey()\n",
    "subclass": "from huey.api import MemoryHuey\nclass Own(MemoryHuey): ...\nhuey = Own()\n",
    "factory": (
        "from huey import FileHuey\ndef make():\n    made = FileHuey()\n    return made\nhuey ="
        " make()\n"
    ),
    "by a setting": (
        "import huey as h\nif X:\n    huey = h.RedisHuey()\nelse:\n    huey = h.SqliteHuey()\n"
    ),
    "peewee": "from huey.contrib.sql_huey import SqlHuey\nhuey = SqlHuey(database='x')\n",
}


@pytest.mark.parametrize("name", APPS)
def test_finds_the_app(tmp_path: Path, name: str) -> None:
    use = check_finds(
        tmp_path, TASKS | APP | {"shop/app.py": APPS[name]}, "shop/app.py:huey", "shop/tasks.py"
    )
    assert use.apps == ("shop/app.py:huey",)


TASK_FILES = {
    "relative": "from .app import huey as h\n@h.task(retries=2)\ndef f(): ...\n",
    "periodic": (
        "from shop.app import huey\nfrom huey import crontab\n@huey.periodic_task(crontab())\ndef"
        " f(): ...\n"
    ),
    "called": "from shop.app import huey\ndef _f(): ...\nf = huey.task(retries=1)(_f)\n",
    "own decorator": (
        "from shop import app\ndef task(f):\n    return app.huey.task()(f)\n@task\ndef f(): ...\n"
    ),
    "in a method": "from shop.app import huey\nclass A:\n    @huey.task()\n    def f(): ...\n",
}


@pytest.mark.parametrize("name", TASK_FILES)
def test_finds_tasks(tmp_path: Path, name: str) -> None:
    use = check_finds(
        tmp_path, APP | {"shop/jobs.py": TASK_FILES[name]}, "shop/app.py:huey", "shop/jobs.py"
    )
    assert use.scheduler == ("huey" if name == "periodic" else None)


NO_TASKS = {
    "another library": "from invoke import task\n@task()\ndef f(): ...\n",
    "another app": "from shop.celery import app\n@app.task()\ndef f(): ...\n",
    "in a comment": "from shop.app import huey\n# @huey.task()\ndef f(): ...\n",
    "a hook": "from shop.app import huey\n@huey.signal()\ndef f(signal, task): ...\n",
}


@pytest.mark.parametrize("name", NO_TASKS)
def test_ignores_what_is_no_task(tmp_path: Path, name: str) -> None:
    check_finds(tmp_path, APP | {"shop/jobs.py": NO_TASKS[name]}, "shop/app.py:huey")


def test_django_settings(tmp_path: Path) -> None:
    use = check_finds(
        tmp_path / "dict",
        {"shop/settings.py": FIELDS, "shop/jobs.py": DJHUEY},
        "shop/settings.py:HUEY",
        "shop/jobs.py",
    )
    assert use.broker == "sqlite"
    module = "from huey.contrib import djhuey as huey\n@huey.db_periodic_task(x)\ndef f(): ...\n"
    made = "from huey import RedisHuey\nHUEY = RedisHuey('shop')\n"
    files = {"shop/settings.py": made, "shop/jobs.py": module}
    use = check_finds(tmp_path / "object", files, "shop/settings.py:HUEY", "shop/jobs.py")
    assert (use.broker, use.scheduler) == ("redis", "huey")
    passed_on = {"shop/queue.py": "from huey.contrib.djhuey import task\n", "shop/__init__.py": ""}
    passed_on["shop/jobs.py"] = "from .queue import task\n@task()\ndef f(): ...\n"
    check_finds(tmp_path / "passed on", passed_on, None, "shop/jobs.py")


def test_a_dict_called_huey_needs_django_huey(tmp_path: Path) -> None:
    check_ignores(tmp_path, {"shop/settings.py": "HUEY = {'red': 0}\n"} | REQUIRED)


LAUNCHERS = {
    "Procfile": "worker: huey_consumer.py shop.b.huey -w 4 -k process\n",
    "compose.yaml": (
        'services:\n  w:\n    command: ["huey_consumer", "shop.b.huey", "--flush-locks"]\n'
    ),
    "start.sh": "exec python -m huey.bin.huey_consumer -w 2 shop.b.huey > /dev/null\n",
    "w.service": "ExecStart=/opt/venv/bin/huey_consumer -k process shop.start.huey\n",
}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_of_two_the_one_that_consumers_run_leads(tmp_path: Path, name: str) -> None:
    files = {"shop/a.py": APPS["plain"], "shop/b.py": APPS["plain"], "shop/__init__.py": ""}
    files["shop/start.py"] = "from .b import huey\nfrom . import tasks\n"
    assert check_finds(tmp_path / "none", files, "shop/a.py:huey").apps[1] == "shop/b.py:huey"
    use = check_finds(tmp_path / "started", files | {name: LAUNCHERS[name]}, "shop/b.py:huey")
    assert name in {place.path for place in use.evidence}


def test_django_command_and_comment(tmp_path: Path) -> None:
    files = (
        APP
        | TASKS
        | {
            "supervisord.conf": (
                "# python manage.py run_huey\ncommand=python manage.py run_huey -f\n"
            )
        }
    )
    use = check_finds(tmp_path, files, "shop/app.py:huey", "shop/tasks.py")
    assert [place.line for place in use.evidence if place.path == "supervisord.conf"] == [2]


NOT_IN_USE = {
    "only declared": REQUIRED | {"shop/app.py": "print('huey')\n"},
    "only in tests": (
        REQUIRED | {"tests/app.py": APP["shop/app.py"], "tests/test_a.py": TASKS["shop/tasks.py"]}
    ),
    "only in an example": REQUIRED | {"examples/app.py": APP["shop/app.py"]},
    "vendored": REQUIRED | {"vendor/huey/api.py": APPS["plain"]},
    "patched by an instrumentation": {
        "requirements.txt": "requests\n",
        "sdk/integrations/huey.py": (
            "from huey.api import Huey\nHuey.enqueue = traced(Huey.enqueue)\n"
        ),
    },
    "an optional plug-in": {
        "requirements.txt": "requests\n",
        "lib/contrib/queue.py": APPS["plain"],
    },
    "huey itself": {
        "huey/__init__.py": "",
        "huey/api.py": "class RedisHuey: ...\n",
        "huey/m.py": APPS["plain"],
    },
    "a colour": {
        "paint/huey.py": "huey = Huey('red')\n@huey.task\ndef f(): ...\n",
        "requirements.txt": "requests\n",
    },
}


@pytest.mark.parametrize("name", NOT_IN_USE)
def test_ignores(tmp_path: Path, name: str) -> None:
    check_ignores(tmp_path, NOT_IN_USE[name])

"""Is Celery in use, and where? In pairs: repositories in which it is found, and ones in which it is
ignored.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.celery import FRAMEWORK
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

REQUIRED = {"requirements.txt": "celery[redis]==5.4\n"}
APP = "from celery import Celery\n\napp = Celery('shop')\n"
TASKS = "from shop.celery import app\n\n@app.task\ndef send(): ...\n"
SHARED = "from celery import shared_task\n\n@shared_task\ndef send(): ...\n"


def use_in(root: Path, files: dict[str, str]) -> FrameworkUse | None:
    return survey_tree(Tree(helpers.build_tree(root, files)), [FRAMEWORK.recogniser()]).use(
        "celery"
    )


def check_finds(
    root: Path, files: dict[str, str], app: str | None, *task_modules: str
) -> FrameworkUse:
    """Celery is in use, with this app and exactly these task modules."""
    use = use_in(root, REQUIRED | files)
    assert use is not None
    assert (use.app, use.task_modules) == (app, task_modules)
    return use


def check_ignores(root: Path, files: dict[str, str]) -> None:
    """Celery is not in use."""
    assert use_in(root, files) is None


APPS = {
    "package": {
        "shop/celery.py": APP,
        "shop/__init__.py": "from .celery import app\n__all__ = ['app']\n",
    },
    "aliased": {"shop/celery.py": "import celery as c\napp = c.Celery()\n"},
    "annotated": {"shop/celery.py": "from celery import Celery\napp: Celery = Celery()\n"},
    "conditional": {
        "shop/celery.py": (
            "from celery import Celery\ntry:\n    app = Celery()\nexcept OSError:\n    pass\n"
        )
    },
    "subclass": {
        "shop/celery.py": "from celery import Celery\nclass Own(Celery): ...\napp = Own('x')\n"
    },
    "subclass elsewhere": {
        "shop/base.py": "import celery\nclass Own(celery.Celery): ...\n",
        "shop/celery.py": "from shop.base import Own\napp = Own('x')\n",
    },
    "factory": {
        "shop/celery.py": (
            "from celery import Celery\ndef make():\n    return Celery()\napp = make()\n"
        )
    },
    "factory elsewhere": {
        "shop/factory.py": (
            "from celery import Celery\ndef make(x):\n    c = Celery()\n    return c\n"
        ),
        "shop/celery.py": "from .factory import make\napp = make(1)\n",
    },
}


@pytest.mark.parametrize("name", APPS)
def test_finds_the_app(tmp_path: Path, name: str) -> None:
    use = check_finds(
        tmp_path, {"shop/tasks.py": TASKS} | APPS[name], "shop/celery.py:app", "shop/tasks.py"
    )
    assert use.apps == ("shop/celery.py:app",)


def test_what_stands_in_for_a_library_that_is_not_installed_hides_nothing(tmp_path: Path) -> None:
    """`try: from celery import shared_task`, and beside it a function of that name."""
    own = "def shared_task(f):\n    class Nothing: ...\n    return Nothing()\n"
    beside = "".join(f"    {line}\n" for line in own.splitlines())
    tried = f"try:\n    from celery import shared_task\nexcept ImportError:\n{beside}"
    tasks = {"shop/tasks.py": SHARED.replace("from celery", "from .compat")}
    check_finds(tmp_path / "tried", {"shop/compat.py": tried} | tasks, None, "shop/tasks.py")
    check_ignores(tmp_path / "own", REQUIRED | {"shop/compat.py": own} | tasks)


def test_finds_a_factory_that_nobody_calls_here(tmp_path: Path) -> None:
    factory = "from celery import Celery\ndef create_app():\n    return Celery()\n"
    check_finds(tmp_path, {"shop/worker.py": factory}, "shop/worker.py:create_app")


TASK_FILES = {
    "decorated": TASKS,
    "with arguments": (
        "from shop.celery import app\n@app.task(bind=True, max_retries=3)\ndef f(self): ...\n"
    ),
    "through the package": "from shop import app\n@app.task\ndef f(): ...\n",
    "through the module": "from shop import celery\n@celery.app.task()\ndef f(): ...\n",
    "relative": "from .celery import app as c\n@c.task\ndef f(): ...\n",
    "in a method": "from shop.celery import app\nclass A:\n    @app.task\n    def f(): ...\n",
    "shared": SHARED,
    "shared and aliased": (
        "from celery import shared_task as task\n@task(ignore_result=True)\ndef f(): ...\n"
    ),
    "old style": (
        "from celery.task import periodic_task\n@periodic_task(run_every=1)\ndef f(): ...\n"
    ),
    "called": "from celery import shared_task\ndef f(): ...\nf_task = shared_task(name='f')(f)\n",
    "registered": (
        "from shop.celery import app\nclass T(app.Task): ...\nt = app.register_task(T())\n"
    ),
    "current app": "from celery import current_app\n@current_app.task\ndef f(): ...\n",
}


@pytest.mark.parametrize("name", TASK_FILES)
def test_finds_tasks(tmp_path: Path, name: str) -> None:
    check_finds(
        tmp_path,
        APPS["package"] | {"shop/jobs.py": TASK_FILES[name]},
        "shop/celery.py:app",
        "shop/jobs.py",
    )


NO_TASKS = {
    "another task": "from invoke import task\n@task\ndef f(): ...\n",
    "another app": "from shop.huey import app\n@app.task\ndef f(): ...\n",
    "in a comment": "from shop.celery import app\n# @app.task\ndef f(): ...\n",
    "in a string": 'from shop.celery import app\nX = """\n@app.task\n"""\n',
    "a method called task": (
        "from shop.celery import app\nclass A:\n    def task(self): ...\nA().task()\n"
    ),
}


@pytest.mark.parametrize("name", NO_TASKS)
def test_ignores_what_is_no_task(tmp_path: Path, name: str) -> None:
    check_finds(tmp_path, APPS["package"] | {"shop/jobs.py": NO_TASKS[name]}, "shop/celery.py:app")


def test_of_two_apps_the_one_that_workers_run_leads(tmp_path: Path) -> None:
    other = "from celery import Celery\nbeta = Celery('beta')\n@beta.task\ndef f(): ...\n"
    files = {"alpha/celery.py": APP, "beta/celery.py": other}
    start = {"Procfile": "web: gunicorn alpha\nworker: celery -A alpha worker -l INFO\n"}
    assert check_finds(tmp_path / "none", files, "beta/celery.py:beta", "beta/celery.py")
    use = check_finds(tmp_path / "started", files | start, "alpha/celery.py:app", "beta/celery.py")
    assert use.apps == ("alpha/celery.py:app", "beta/celery.py:beta")


LAUNCHERS = {
    "Procfile": "worker: celery -A shop worker\n",
    "docker-compose.prod.yml": (
        "services:\n  w:\n    command: sh -c 'cd /app && celery --app=shop.celery:app worker'\n"
    ),
    "compose.yaml": 'services:\n  w:\n    command: ["celery", "-A", "shop.celery", "worker"]\n',
    "deploy/compose/base.yml": "w:\n  command:\n    - celery\n    - -A\n    - shop\n    - worker\n",
    "contrib/shop-worker.service": (
        "[Service]\nExecStart=/opt/venv/bin/celery -A shop worker -Q a,b\n"
    ),
    "ansible/w.service.j2": "ExecStart={{ venv }}/bin/celery -A shop worker\n",
    "supervisord.conf": "[program:w]\ncommand=celery multi start w -A shop\n",
    "scripts/start.sh": "exec celery \\\n  -A shop \\\n  worker\n",
    "docker/svc-worker/run": "#!/bin/sh\nexec s6-setuidgid app celery --app shop worker\n",
    "Dockerfile": 'CMD ["celery", "-A", "shop", "worker"]\n',
    "old.sh": "python manage.py celery worker -A shop\n",
}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_worker_command_lines_are_evidence(tmp_path: Path, name: str) -> None:
    use = check_finds(tmp_path, APPS["package"] | {name: LAUNCHERS[name]}, "shop/celery.py:app")
    line = next(
        number for number, text in enumerate(LAUNCHERS[name].splitlines(), 1) if "celery" in text
    )
    assert (name, line) in {(place.path, place.line) for place in use.evidence}


def test_a_commented_or_other_command_line_is_no_evidence(tmp_path: Path) -> None:
    files = {
        "start.sh": (
            "# celery -A shop worker\ncelery -A shop flower\npip install celery\nmake"
            " celery-worker\n"
        )
    }
    use = check_finds(tmp_path, APPS["package"] | files, "shop/celery.py:app")
    assert "start.sh" not in {place.path for place in use.evidence}


BEAT = {
    "conf": {"shop/conf.py": "from shop.celery import app\napp.conf.beat_schedule = {}\n"},
    "settings": {"shop/settings.py": "CELERY_BEAT_SCHEDULE = {}\n"},
    "old settings": {"shop/settings.py": "CELERYBEAT_SCHEDULE = {}\n"},
    "signal": {
        "shop/s.py": (
            "from shop.celery import app\ndef f(sender):\n    sender.add_periodic_task(1, x)\n"
        )
    },
    "database": {"shop/settings.py": "INSTALLED_APPS = ['django_celery_beat']\n"},
    "command": {"Procfile": "beat: celery -A shop beat\n"},
    "worker with beat": {"Procfile": "w: celery -A shop worker -B\n"},
}


@pytest.mark.parametrize("name", BEAT)
def test_finds_beat(tmp_path: Path, name: str) -> None:
    assert (
        check_finds(tmp_path, APPS["package"] | BEAT[name], "shop/celery.py:app").scheduler
        == "celery-beat"
    )


def test_ignores_beat_in_comments_and_tests(tmp_path: Path) -> None:
    files = {
        "shop/settings.py": "# CELERY_BEAT_SCHEDULE = {}\nCELERY_TIMEZONE = 'UTC'\n",
        "tests/test_beat.py": (
            "from celery import Celery\napp = Celery()\napp.conf.beat_schedule = {}\n"
        ),
        ".gitignore": "celerybeat-schedule\n",
    }
    assert check_finds(tmp_path, APPS["package"] | files, "shop/celery.py:app").scheduler is None


@pytest.mark.parametrize(
    ("files", "broker"),
    [
        ({"shop/settings.py": "CELERY_BROKER_URL = 'amqp://guest@mq//'\n"}, "rabbitmq"),
        (
            {"shop/settings.py": "CELERY_BROKER_URL = env(\n    'X',\n    default='sqs://',\n)\n"},
            "sqs",
        ),
        ({"shop/settings.py": "CELERY_BROKER_URL = REDIS_URL\n"}, "redis"),
        (
            {
                "shop/settings.py": (
                    "# CELERY_BROKER_URL = 'amqp://mq'\nCELERY_BROKER_URL = 'rediss://r'\n"
                )
            },
            "redis",
        ),
        ({".env.example": "CELERY_BROKER_URL=amqp://mq\n"}, "rabbitmq"),
        ({}, "redis"),  # celery[redis]
        ({"requirements.txt": "celery\n"}, None),
    ],
)
def test_brokers(tmp_path: Path, files: dict[str, str], broker: str | None) -> None:
    assert check_finds(tmp_path, APPS["package"] | files, "shop/celery.py:app").broker == broker


def test_evidence_has_path_line_and_text_and_no_password(tmp_path: Path) -> None:
    files = {
        "shop/settings.py": "CELERY_BROKER_URL = 'redis://user:hunter22hunter22@r:6379/0'\n",
        "shop/tasks.py": TASKS,
    }
    use = check_finds(tmp_path, APPS["package"] | files, "shop/celery.py:app", "shop/tasks.py")
    shown = {f"{place.path}:{place.line}: {place.text}" for place in use.evidence}
    assert {
        "requirements.txt:1: celery[redis]==5.4",
        "shop/celery.py:3: app = Celery('shop')",
        "shop/tasks.py:3: @app.task",
    } <= shown
    assert "hunter22" not in str(use)


DEV = {
    "pyproject.toml": (
        "[project]\nname = 'lib'\ndependencies = ['django']\n[dependency-groups]\ndev ="
        " ['celery']\n"
    )
}
EXTRA = {
    "pyproject.toml": (
        "[project]\nname = 'lib'\n[project.optional-dependencies]\ncelery = ['celery']\n"
    )
}
SIGNALS = "from celery.signals import task_prerun\n@task_prerun.connect\ndef f(): ...\n"
IGNORED: dict[str, dict[str, str]] = {
    "only declared": {**REQUIRED, "shop/views.py": "x = 1\n"},
    "only started": {"Procfile": "worker: celery -A shop worker\n"},
    "only tests": {
        **REQUIRED,
        "tests/tasks.py": SHARED,
        "shop/test_tasks.py": SHARED,
        "conftest.py": APP,
    },
    "only documentation": {**REQUIRED, "docs/tasks.py": SHARED, "README.md": APP},
    "only a demo project": {**DEV, "demoproj/celery.py": APP, "examples/celery/tasks.py": SHARED},
    "signals of an integration": {
        **DEV,
        "lib/integrations/celery/signals.py": SIGNALS,
    },
    "a task of an optional integration": {**EXTRA, "lib/contrib/celery/tasks.py": SHARED},
    "an app of an optional backend": {**EXTRA, "lib/executors/celery_app.py": APP},
    "one optional task of a library": {**EXTRA, "lib/tasks.py": SHARED},
    "a template": {
        "{{cookiecutter.slug}}/celery.py": APP,
        "{{cookiecutter.slug}}/requirements.txt": "celery\n",
    },
    "vendored": {**REQUIRED, "vendor/x/tasks.py": SHARED, "node_modules/y/celery.py": APP},
    "a local module of that name": {
        "shop/celery.py": "class Celery: ...\n",
        "shop/a.py": "from .celery import Celery\napp = Celery()\n",
    },
    "a class of that name": {"shop/a.py": "from food import Celery\napp = Celery()\n"},
    "the library itself": {
        "celery/__init__.py": "from celery.app import Celery\n",
        "celery/bin.py": APP,
    },
    "comments and strings": {
        **REQUIRED,
        "shop/a.py": "# from celery import Celery\n# app = Celery()\nX = 'celery'\n",
    },
    "sample code of an editor": {**REQUIRED, ".cursor/rules/tasks.py": SHARED},
    "transitive": {"requirements.txt": "celery==5\n    # via flower\n"},
}


@pytest.mark.parametrize("name", IGNORED)
def test_ignores(tmp_path: Path, name: str) -> None:
    check_ignores(tmp_path, IGNORED[name])


def test_an_undeclared_library_counts_where_an_app_is_made(tmp_path: Path) -> None:
    use = use_in(tmp_path, {"requirements.txt": "flask\n", "shop/celery.py": APP})
    assert use and use.app == "shop/celery.py:app"


def test_a_library_whose_only_app_is_in_its_tests(tmp_path: Path) -> None:
    files = {"lib/tasks.py": SHARED, "tests/celery.py": APP}
    use = check_finds(tmp_path, files, "tests/celery.py:app", "lib/tasks.py")
    assert use.apps == ()


def test_tasks_in_a_module_called_integrations_are_tasks(tmp_path: Path) -> None:
    files = APPS["package"] | {"shop/apps/integrations/zotero/tasks.py": SHARED}
    check_finds(tmp_path, files, "shop/celery.py:app", "shop/apps/integrations/zotero/tasks.py")


def test_newer_syntax_than_ours_is_read(tmp_path: Path) -> None:
    newer = (
        "from celery import shared_task\ntype X = int\n@shared_task\ndef f[T](x):\n    try: ...\n  "
        "  except A, B: ...\n"
    )
    check_finds(
        tmp_path, APPS["package"] | {"shop/jobs.py": newer}, "shop/celery.py:app", "shop/jobs.py"
    )

"""Which app object and which models a scaffolded job uses, as repositories have them."""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import pytest
from rows import real_but
from samples import Combination, spec
from samples import files as files_of
from writing import case_of, write

from skillrun.skills.job_worker.scaffold.plan import plan

TASKS = "shop/tasks.py"
APP = 'from celery import Celery\n\napp = Celery("shop")\n'


@pytest.mark.real
def test_of_several_celery_apps_the_one_that_the_tasks_import(tmp_path: Path) -> None:
    files = {
        "main/celery.py": APP,
        "Procfile": "worker: celery -A main.celery worker\n",
        "shop/jobs.py": APP,
        TASKS: "from shop.jobs import app\n\n\n@app.task\ndef sweep() -> None: ...\n",
    }
    text = write(tmp_path, Combination("celery"), files).text(TASKS)
    assert "from shop.jobs import app\n" in text
    assert "main.celery" not in text


def test_tasks_that_a_celery_app_runs_by_its_own_class_keep_it(tmp_path: Path) -> None:
    app = "from celery import Celery, Task\n\n\nclass Mine(Task): ...\n\n\n"
    files = {"shop/celery.py": f'{app}app = Celery("shop", task_cls=Mine)\n'}
    assert "class SendReceiptTask(app.Task):" in write(tmp_path, Combination("celery"), files).text(
        TASKS
    )


def test_the_tasks_of_a_celery_app_that_a_function_makes(tmp_path: Path) -> None:
    made = 'def make_app():\n    return Celery("shop")\n\n\napp = make_app()\n'
    files = {
        "shop/celery.py": f"from celery import Celery\n\n\n{made}",
        TASKS: "from celery import shared_task\n",
        "shop/others.py": "from shop.celery import app\n\n\n@app.task\ndef sweep() -> None: ...\n",
    }
    written = write(tmp_path, Combination("celery"), files)
    assert '    return Celery("shop", include=["shop.tasks"])\n' in written.text("shop/celery.py")
    assert "from shop.celery import app\n" in written.text(TASKS)


DICT = 'CELERY = {"broker_url": "redis://", "include": []}\n'
MAKES = (
    'from celery import Celery\n\n\ndef make_app():\n    app = Celery("shop")\n    return'
    " app\n\n\napp = make_app()\n"
)
LOADED = {
    "a list of the settings": (
        {"shop/settings.py": DICT},
        "shop/settings.py",
        '"include": ["shop.tasks"]}',
    ),
    "a call within a function": (
        {},
        "shop/celery.py",
        '    app = Celery("shop", include=["shop.tasks"])\n',
    ),
}


@pytest.mark.parametrize(("more", "path", "names"), LOADED.values(), ids=LOADED)
def test_the_workers_of_an_app_that_a_function_makes_load_a_new_module(
    tmp_path: Path, more: dict[str, str], path: str, names: str
) -> None:
    files = {
        "shop/celery.py": MAKES,
        TASKS: "",
        "shop/others.py": "from shop.celery import app\n\n\n@app.task\ndef sweep() -> None: ...\n",
        **more,
    }
    written = write(tmp_path, Combination("celery"), files)
    assert names in written.text(path)
    assert [change.path for change in written.plan.changes if 'shop.tasks"]' in change.after] == [
        path
    ]


def test_a_celery_app_without_a_class_of_its_own(tmp_path: Path) -> None:
    assert "class SendReceiptTask(Task):" in write(tmp_path, Combination("celery")).text(TASKS)


@pytest.mark.real
def test_django_settings_of_huey_are_no_huey_object(tmp_path: Path) -> None:
    files = {
        "Procfile": "worker: python manage.py run_huey\n",
        "shop/queue.py": "",
        "shop/settings.py": 'HUEY = {"huey_class": "huey.SqliteHuey", "filename": "queue.db"}\n',
        TASKS: "from huey.contrib.djhuey import task\n\n\n@task()\ndef sweep() -> None: ...\n",
    }
    text = write(tmp_path, Combination("huey"), files).text(TASKS)
    assert "from huey.contrib.djhuey import db_task, signal, task\n" in text
    assert "HUEY" not in text


@pytest.mark.real
def test_a_module_that_no_consumer_of_huey_loads_is_said(tmp_path: Path) -> None:
    files = {
        ".skillrun/jobs/send-receipt.json": json.dumps(
            spec(Combination("huey")) | {"handler": "shop.jobs:send_receipt"}
        )
    }
    written = write(tmp_path / "alone", Combination("huey"), files)
    assert [finding.message for finding in written.plan.missing] == [
        "the consumer loads shop/tasks.py, which does not import shop.jobs: write a handler in"
        " shop.tasks"
    ]
    files |= {"shop/jobs.py": "", "shop/__init__.py": "from shop import jobs, tasks\n"}
    tasks = {TASKS: "from shop import jobs\n" + files_of(Combination("huey"))[TASKS]}
    assert write(tmp_path / "named", Combination("huey"), {**files, **tasks}).plan.missing == ()


@pytest.mark.real
def test_a_scheduler_of_flask_apscheduler_has_a_decorator_of_its_own(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "flask-apscheduler\n",
        "shop/clock.py": "from flask_apscheduler import APScheduler\n\nscheduler = APScheduler()\n",
    }
    written = write(tmp_path, Combination("apscheduler", "cron", message="payload"), files)
    assert "@scheduler.task(\n" in written.text(TASKS)


def test_the_tick_stands_where_flask_apscheduler_s_decorator_does(tmp_path: Path) -> None:
    """Flask-APScheduler's own example: the views add a job as well, and are no place for one."""
    files = {
        "requirements.txt": "flask-apscheduler\n",
        "shop/clock.py": "from flask_apscheduler import APScheduler\n\nscheduler = APScheduler()\n",
        "shop/jobs.py": (
            "from shop.clock import scheduler\n\n\n@scheduler.task('interval', id='a')\ndef a():"
            " ...\n"
        ),
        "shop/web.py": (
            "from shop.clock import scheduler\n\n\ndef add():\n    scheduler.add_job('b', lambda:"
            " 1)\n"
        ),
        TASKS: "",
        "shop/__main__.py": "import shop.jobs, shop.web\n",
    }
    written = write(tmp_path, Combination("apscheduler", "cron", message="payload"), files)
    assert "tick_send_receipt" in written.names("shop/jobs.py")


def test_a_repository_without_packages(tmp_path: Path) -> None:
    """osolmaz/fastapi-celery-template: an adapter that is not there is written beside the handler,
    a library is not.
    """
    wanted = spec(Combination("celery")) | {"handler": "tasks:send_receipt"}
    wanted["effects"][0]["call"] = "mailer:send"
    wanted["failures"] |= {
        "transient": ["mailer:Unavailable", "requests:Timeout"],
        "permanent": ["mailer:BadAddress"],
    }
    files = {
        ".skillrun/jobs/send-receipt.json": json.dumps(wanted),
        "tasks.py": (
            'from celery import Celery\n\napp = Celery("tasks")\n\n\n@app.task\ndef sweep() ->'
            " None: ...\n"
        ),
        "requirements.txt": "celery\nrequests\n",
        "pyproject.toml": "",
    }
    root = helpers.build_tree(tmp_path / "repo", files)
    changed = {change.path: change.after for change in plan(case_of(root)).changes}
    assert "def send(" in changed["mailer.py"]
    assert "import mailer\n" in changed["tasks.py"]
    assert "from requests import Timeout\n" in changed["tasks.py"]
    assert 'setattr(mailer, "send"' in changed["tests/test_send_receipt.py"]
    assert "requests.py" not in changed


def test_models_of_a_django_package_stand_in_a_module_of_their_own(tmp_path: Path) -> None:
    files = {
        "shop/models/__init__.py": "from shop.models.carts import Cart\n\n__all__ = ['Cart']\n"
    }
    written = write(tmp_path, Combination("celery", store="django"), files)
    assert "DeadJob" in written.names("shop/models/jobs.py")
    assert "from shop.models import jobs\n" in written.text("shop/models/__init__.py")
    assert "from shop.models.jobs import DeadJob, " in written.text("shop/send_receipt_store.py")


def test_what_counts_outcomes_is_imported_by_the_handler_alone(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "django\nopentelemetry-api\n",
        "shop/traced.py": (
            "from opentelemetry import trace\n\n\ndef look():\n    trace.get_current_span().end()\n"
        ),
    }
    written = write(tmp_path, Combination("celery", store="django"), files)
    counting = [change.path for change in written.plan.changes if "import trace" in change.after]
    assert counting == [TASKS]


@pytest.mark.real
@pytest.mark.parametrize("where", real_but(["setting", "fixture"], "setting"))
def test_its_tests_run_where_a_celery_task_that_is_run_at_once_raises(
    tmp_path: Path, where: str
) -> None:
    """An error that reaches the tracer's caller is no retry, and no dead letter."""
    said = {
        "setting": {"shop/celery.py": f"{APP}app.conf.task_eager_propagates = True\n"},
        "fixture": {
            "tests/conftest.py": (
                "import pytest\n\nfrom shop.celery import"
                " app\n\n\n@pytest.fixture(autouse=True)\ndef eager(monkeypatch):\n   "
                ' monkeypatch.setitem(app.conf, "task_eager_propagates", True)\n'
            )
        },
    }
    written = write(tmp_path, Combination("celery"), said[where])
    done = written.run("pytest", "-q", "tests/test_send_receipt.py")
    assert done.returncode == 0, done.stdout
    assert "task_eager_propagates" not in write(tmp_path / "plain", Combination("celery")).text(
        "tests/test_send_receipt.py"
    )

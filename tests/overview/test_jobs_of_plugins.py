"""`skillrun jobs` of a package whose job library is somebody else's to install, and of jobs that
stand behind a condition or a decorator of the house.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.cli.commands.case import open_case
from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.readings.choice import choose

PLUGIN = {
    "setup.py": "from setuptools import setup\nsetup(name='x', install_requires=['django'])\n"
}
BEHIND_A_CONDITION = (
    "try:\n    from celery import shared_task\nexcept ImportError:\n"
    "    def send_queued(): ...\nelse:\n    @shared_task\n    def send_queued(): ...\n"
)
HOUSE = (
    "import functools\nfrom redis import Redis\nfrom rq import Queue\n"
    "def job_of_ours(func):\n    @functools.wraps(func)\n    def delay(*args, **kwargs):\n"
    "        return Queue(connection=Redis()).enqueue_call(func, args=args, kwargs=kwargs)\n"
    "    func.delay = delay\n    return func\n"
    "def logged(func):\n    func.logged = True\n    return func\n"
)


def list_jobs(root: Path, files: dict[str, str]) -> list[str]:
    reader = open_reader(helpers.build_tree(root, files))
    return [job.handler.import_path for job in reader.jobs]


def test_a_task_of_a_plug_in_that_asks_for_no_celery_is_a_job(tmp_path: Path) -> None:
    code = {"post/tasks.py": BEHIND_A_CONDITION}
    assert list_jobs(tmp_path, PLUGIN | code) == ["post.tasks:send_queued"]


def test_the_library_of_such_a_task_runs_it(tmp_path: Path) -> None:
    reader = open_reader(
        helpers.build_tree(tmp_path, PLUGIN | {"post/tasks.py": BEHIND_A_CONDITION})
    )
    assert reader.survey.frameworks == ()
    found = choose(reader.survey, None, "post/tasks.py")
    assert found.use is not None and found.use.id == "celery"
    assert choose(reader.survey, None, "post/mail.py").use is None


@pytest.mark.parametrize("path", ["post/contrib/celery.py", "tests/tasks.py"])
def test_an_integration_and_tests_have_no_jobs(tmp_path: Path, path: str) -> None:
    assert list_jobs(tmp_path, PLUGIN | {path: BEHIND_A_CONDITION}) == []


def test_jobs_of_a_demo_project_are_listed_where_there_are_no_others(tmp_path: Path) -> None:
    demo = {
        "requirements.txt": "huey\n",
        "monitor_project/app.py": "from huey import RedisHuey\nHUEY = RedisHuey('x')\n",
        "monitor_project/test_app/tasks.py": (
            "from huey.contrib.djhuey import task\n@task()\ndef slow(pk): ...\n"
        ),
    }
    assert list_jobs(tmp_path / "alone", demo) == ["monitor_project.test_app.tasks:slow"]
    own = {"monitor/tasks.py": "from huey.contrib.djhuey import task\n@task()\ndef own(pk): ...\n"}
    assert list_jobs(tmp_path / "own", demo | own) == ["monitor.tasks:own"]


def test_a_decorator_of_the_house_that_enqueues_makes_a_job(tmp_path: Path) -> None:
    code = {
        "requirements.txt": "rq\n",
        "news/decorators.py": HOUSE,
        "news/tasks.py": (
            "from news.decorators import job_of_ours, logged\n"
            "@job_of_ours\ndef send(pk): ...\n\n@logged\ndef tidy(pk): ...\n"
        ),
    }
    assert list_jobs(tmp_path, code) == ["news.tasks:send"]


def test_of_two_libraries_in_one_module_each_runs_its_own(home: Path, tmp_path: Path) -> None:
    code = (
        "try:\n    import dramatiq\nexcept ImportError: ...\nelse:\n"
        "    @dramatiq.actor\n    def by_dramatiq(pk): ...\n"
        "try:\n    from celery import shared_task\nexcept ImportError: ...\nelse:\n"
        "    @shared_task\n    def by_celery(pk): ...\n"
    )
    root = helpers.build_tree(tmp_path / "pictures", PLUGIN | {"pictures/tasks.py": code})
    for name in ("dramatiq", "celery"):
        spec = tmp_path / f"{name}.yaml"
        spec.write_text(f"version: 1\njob: one\nhandler: pictures.tasks:by_{name}\n")
        use = open_case(root, spec, {}).use
        assert use is not None
        assert use.id == name

"""The repository's own worker is begun as its command line does, up to where it waits for jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.known.launchers import find_starts, split_commands

BEGIN = """
import json, logging, sys
from skillrun.probe.driver import load_module
from skillrun.probe.starting import begin_by_command
ways = load_module("{library}", "driver").Driver.WAYS
begun = begin_by_command(ways, {commands!r}, {root!r})
print(json.dumps([begun and begun.command, type(begun and begun.worker).__name__, sorted(
    name for name in sys.modules if name.startswith("shop")), logging.getLogger("shop").level]))
"""
RQ_SCRIPT = """
    import logging

    from redis import Redis
    from rq import Queue, Worker

    from shop import jobs


    class HouseWorker(Worker):
        pass


    def keep_dead_letter(job, *exc_info):
        return True


    def main():
        logging.getLogger("shop").setLevel(logging.INFO)
        connection = Redis()
        HouseWorker(
            [Queue(connection=connection)],
            connection=connection,
            exception_handlers=[keep_dead_letter],
            prepare_for_work=False,
        ).work()
        raise SystemExit("it waits for jobs")


    if __name__ == "__main__":
        main()
    """
FILES = {
    "shop/__init__.py": "",
    "shop/jobs.py": "",
    "shop/worker.py": RQ_SCRIPT,
    "worker.py": "from shop.worker import main\n\nmain()\n",
    "serve.py": "import rq\n\nwhile True:\n    pass\n",
    "broken.py": "import rq\n\nraise RuntimeError('no settings')\nrq.Worker().work()\n",
    "slow.py": "import time, rq\n\ntime.sleep(60)\nrq.Worker().work()\n",
}


def begin(folder: Path, library: str, *commands: str, then: str = "") -> str:
    helpers.write_files(folder, FILES)
    words = [command.split() for command in commands]
    roots = os.pathsep.join((str(folder), str(Path(__file__).resolve().parents[2])))
    code = BEGIN.format(library=library, commands=words, root=str(folder)) + then
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": roots},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.real
@pytest.mark.parametrize("command", ["python -m shop.worker", "python worker.py high low"])
def test_a_script_is_run_up_to_where_its_worker_waits(command: str, tmp_path: Path) -> None:
    said = begin(tmp_path, "rq", "python serve.py", "python broken.py", command)
    assert said.startswith(f'["{command}", "HouseWorker", ["shop", "shop.jobs"')
    assert said.endswith(", 20]")


@pytest.mark.real
def test_what_calls_no_entry_of_the_library_is_not_run(tmp_path: Path) -> None:
    assert begin(tmp_path, "rq", "python serve.py", "python -m shop.jobs", "python ../x.py") == (
        '[null, "NoneType", [], 0]'
    )


@pytest.mark.real
def test_a_program_names_modules(tmp_path: Path) -> None:
    said = begin(tmp_path, "dramatiq", "dramatiq --processes 1 shop.jobs shop.nowhere")
    assert '"shop.jobs"' in said
    assert "dramatiq --processes 1" in said


@pytest.mark.real
def test_only_the_option_of_an_app_names_a_module(tmp_path: Path) -> None:
    said = begin(tmp_path, "celery", "celery -A shop.jobs:app worker -Q high")
    assert '["shop", "shop.jobs"]' in said
    assert begin(tmp_path, "celery", "celery worker shop.jobs") == '[null, "NoneType", [], 0]'


@pytest.mark.real
def test_a_variable_stands_for_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the shell that starts the worker: rq takes `$QUEUE_URL` for no address."""
    monkeypatch.setenv("QUEUE_URL", "redis://localhost:1/0")
    monkeypatch.setenv("SHOP_SCRIPT", "worker.py")
    command = "python ${SHOP_FOLDER:-.}/$SHOP_SCRIPT --url ${QUEUE_URL}"
    assert begin(tmp_path, "rq", command).startswith(f'["{command}", "HouseWorker"')


FAILING = "import logging, rq\n\nlogging.error('no broker')\nraise SystemExit(rq.Worker)\n"


@pytest.mark.real
def test_a_worker_that_cannot_begin_leaves_the_logs_alone(tmp_path: Path) -> None:
    """Else the application's own `basicConfig` comes too late, and none of its records is
    heard.
    """
    (tmp_path / "failing.py").write_text(FAILING)
    asked = "\nprint(logging.getLogger().handlers, logging.getLogger().level)"
    said = begin(tmp_path, "rq", "python failing.py", then=asked)
    assert said.endswith("[] 30")


def test_a_line_may_have_several_commands() -> None:
    line = "worker: python manage.py migrate && python -m shop.worker --queue high\n"
    (start,) = find_starts("Procfile", line, ("python",))
    assert split_commands(start.words, "python") == [
        ("python", "manage.py", "migrate"),
        ("python", "-m", "shop.worker", "--queue", "high"),
    ]

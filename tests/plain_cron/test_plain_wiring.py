"""Plain callables: when a repository has such a job, its handler, and what starts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_repo import CRONTAB, Plain, build, recognised

from skillrun.frameworks.plain_cron import FRAMEWORK as plain_cron
from skillrun.repo.python import Project
from skillrun.repo.tree import Tree

SWEEP = """
    from shop import mailer

    def sweep():
        mailer.send(1)

    if __name__ == "__main__":
        sweep()
    """
POLLER = """
    import time
    from shop.sweep import sweep

    def main():
        while True:
            sweep()
            time.sleep(30)

    if __name__ == "__main__":
        main()
    """
COMMAND = """
    from django.core.management.base import BaseCommand
    from shop.sweep import sweep

    class Command(BaseCommand):
        def handle(self, *args, **options):
            sweep()
    """
SERVICE = "[Service]\nExecStart=/srv/venv/bin/python -m shop.sweep\n"
CRON_JOB = """\
    apiVersion: batch/v1
    kind: CronJob
    spec:
      schedule: "0 3 * * *"
      jobTemplate:
        spec:
          containers:
            - command:
                - python
                - -m
                - shop.sweep
    """
STARTED = {
    "crontab": CRONTAB,
    "heredoc": {
        "docker/entrypoint.sh": 'echo "0 3 * * * root python /srv/shop/sweep.py" >> /etc/crontab\n'
    },
    "script": {
        "deploy/sweep.cron": "@daily www-data /usr/bin/python3 /srv/app/shop/sweep.py --all\n"
    },
    "flock": {"crontab": "*/5 * * * * flock -n /tmp/l python -m shop.sweep\n"},
    "timer": {"deploy/sweep.service": SERVICE, "deploy/sweep.timer": "[Timer]\nOnCalendar=daily\n"},
    "kubernetes": {"k8s/sweep.yaml": CRON_JOB},
    "render": {
        "render.yaml": (
            "services:\n- type: cron\n  schedule: '0 3 * * *'\n  startCommand: python -m"
            " shop.sweep\n"
        )
    },
    "schedule": {
        "shop/clock.py": (
            "import schedule\nfrom shop.sweep import sweep\nschedule.every().day.do(sweep)\n"
        )
    },
    "django": {"shop/settings.py": 'CRONJOBS = [("*/5 * * * *", "shop.sweep.sweep")]\n'},
    "aiocron": {
        "shop/clock.py": (
            'import aiocron\nfrom shop.sweep import sweep\naiocron.crontab("0 3 * * *",'
            " func=sweep)\n"
        )
    },
    "poller": {"shop/poller.py": POLLER, "Procfile": "poller: python -m shop.poller\n"},
    "poller-compose": {
        "shop/poller.py": POLLER,
        "compose.yml": 'services:\n p:\n  command: ["python", "-m", "shop.poller"]\n',
    },
    "command": {
        "shop/management/commands/sweep_orders.py": COMMAND,
        "crontab": "0 3 * * * cd /srv && uv run ./manage.py sweep_orders --all\n",
    },
    "wrapper": {
        "shop/management/commands/sweep_orders.py": COMMAND,
        "clevercloud/cron.json": '[\n  "*/5 * * * * $ROOT/run_command.sh sweep_orders"\n]\n',
    },
    "until it fails": {
        "shop/poller.py": (
            "import time\nfrom shop.sweep import sweep\nwhile True:\n    went_well = sweep()\n"
            "    if not went_well:\n        break\n    time.sleep(30)\n"
        ),
        "Procfile": "poller: python -m shop.poller\n",
    },
    "until told to stop": {
        "shop/poller.py": (
            "import time\nfrom shop.sweep import sweep\nwhile True:\n    if told():\n       "
            " break\n    sweep()\n    time.sleep(30)\n"
        ),
        "Procfile": "poller: python -m shop.poller\n",
    },
    "console": {
        "pyproject.toml": (
            '[project]\nname = "shop"\n[project.scripts]\nsweep-orders = "shop.sweep:sweep"\n'
        ),
        "crontab": "0 3 * * * root /usr/bin/sweep-orders\n",
    },
}


@pytest.mark.parametrize("how", STARTED)
def test_what_the_clock_starts_is_found_and_wired(tmp_path: Path, how: str) -> None:
    root = build(tmp_path / "r", {"shop/sweep.py": SWEEP, **STARTED[how]})
    wiring = [one for one in Plain(root).wiring if not one.in_tests]
    assert "schedule" in {one.kind for one in wiring}, wiring
    use = recognised(root)
    if how != "console":  # a name of a console script says nothing about a file
        assert use is not None
        assert use.task_modules
        assert use.scheduler
        assert use.evidence
        assert use.app is None


NO_JOB = {
    "a script alone": {},
    "a command by hand": {"Makefile": "sweep:\n\tpython -m shop.sweep\n"},
    "a service": {"Procfile": "web: python -m shop.sweep\n"},
    "a loop that nobody starts": {"shop/poller.py": POLLER},
    "CI": {
        ".github/workflows/ci.yml": (
            "on:\n schedule:\n  - cron: '0 3 * * *'\njobs:\n a: {run: python -m shop.sweep}\n"
        )
    },
    "a comment": {"crontab": "# */5 * * * * python -m shop.sweep\n"},
    "documentation": {"docs/crontab": CRONTAB["crontab"]},
    "another file": {"crontab": "*/5 * * * * python /opt/other/backup.py\n"},
    "tests": {"tests/clock.py": "import schedule\nschedule.every().day.do(print)\n"},
    "a word": {"shop/web.py": "def schedule(): ...\nschedule.every(1)\n"},
    "waiting for a database": {
        "shop/wait.py": (
            "import time\nwhile True:\n    try:\n        connect()\n"
            "        break\n    except OSError:\n        time.sleep(1)\n"
        ),
        "Procfile": "web: python -m shop.wait\n",
    },
    "waiting for work": {
        "shop/w.py": "import time\nwhile not ready():\n    time.sleep(1)\n",
        "Procfile": "w: python -m shop.w\n",
    },
    "waiting for a table": {
        "shop/w.py": (
            "import time\nwhile True:\n    if there():\n        break\n    print(1)\n   "
            " time.sleep(1)\n"
        ),
        "Procfile": "w: python -m shop.w\n",
    },
    "waiting for an answer": {
        "shop/w.py": (
            "import time\ndef ask():\n    while True:\n        found = look()\n        if found:\n"
            "            return found\n        time.sleep(1)\nask()\n"
        ),
        "Procfile": "w: python -m shop.w\n",
    },
    "a loop beside a web server": {
        "shop/feed.py": POLLER,
        "shop/web.py": (
            "import uvicorn\nfrom shop import feed\nif __name__ == '__main__':\n   "
            " uvicorn.run('a:b')\n"
        ),
        "Procfile": "web: python -m shop.web\n",
    },
    "a loop beside a scheduler": {
        "shop/clock.py": POLLER + "\nclock.scheduler.start()\n",
        "Procfile": "clock: python -m shop.clock\n",
    },
    "reading a crontab's times": {
        "shop/when.py": "from croniter import croniter\ncroniter('0 3 * * *').get_next()\n",
    },
    "keeping alive": {
        "shop/bot.py": "import time\nstart()\nwhile True:\n    time.sleep(60)\n",
        "Procfile": "b: python -m shop.bot\n",
    },
}


@pytest.mark.parametrize("what", NO_JOB)
def test_a_script_is_no_job(tmp_path: Path, what: str) -> None:
    assert recognised(build(tmp_path / "r", {"shop/sweep.py": SWEEP, **NO_JOB[what]})) is None


def test_a_crontab_that_code_writes(tmp_path: Path) -> None:
    code = (
        "from crontab import CronTab\n\ntab = CronTab(user=True)\ntab.new(command='python -m"
        " shop.sweep')\n"
    )
    use = recognised(build(tmp_path / "r", {"shop/sweep.py": SWEEP, "shop/install.py": code}))
    assert use is not None
    assert (use.scheduler, use.task_modules) == ("python-crontab", ("shop/install.py",))
    other = code.replace("from crontab", "from celery")
    assert (
        recognised(build(tmp_path / "s", {"shop/sweep.py": SWEEP, "shop/install.py": other}))
        is None
    )


def test_wiring_says_where_and_when(tmp_path: Path) -> None:
    files = {
        "shop/sweep.py": SWEEP,
        "shop/poller.py": POLLER,
        "Procfile": "poller: python -m shop.poller\n",
    }
    plain = Plain(build(tmp_path / "r", {**files, **CRONTAB}))
    assert plain.wired() == [
        "Procfile:1 schedule command",
        "crontab:1 schedule crontab */5 * * * *",
        "shop/poller.py:5 schedule loop that sleeps (poller)",
    ]


def test_a_command_by_hand_is_no_schedule(tmp_path: Path) -> None:
    plain = Plain(
        build(
            tmp_path / "r", {"shop/sweep.py": SWEEP, "Makefile": "sweep:\n\tpython -m shop.sweep\n"}
        )
    )
    assert plain.wired() == ["Makefile:2 enqueue command"]


def test_only_what_runs_the_handler_is_its_wiring(tmp_path: Path) -> None:
    other = "def tidy(): ...\nif __name__ == '__main__':\n    tidy()\n"
    files = {
        "shop/sweep.py": SWEEP,
        "shop/tidy.py": other,
        "crontab": "0 3 * * * python -m shop.tidy\n",
    }
    assert Plain(build(tmp_path / "r", files)).wiring == ()
    unused = SWEEP.replace("        sweep()\n", "        print()\n")
    assert Plain(build(tmp_path / "s", {"shop/sweep.py": unused, **CRONTAB})).wiring == ()


def test_handlers(tmp_path: Path) -> None:
    files = {"shop/sweep.py": SWEEP, "shop/management/commands/sweep_orders.py": COMMAND}
    root = build(tmp_path / "r", {**files, "crontab": "0 3 * * * python manage.py sweep_orders\n"})
    for written in ("Command", "Command.handle"):
        plain = Plain(root, f"shop.management.commands.sweep_orders:{written}")
        assert plain.handler.name == "Command.handle"
        assert [one.kind for one in plain.wiring] == ["schedule"]
        assert plain_cron.find_registration(plain.project, plain.use, plain.handler) is not None
    assert plain_cron.find_handler(Project(Tree(root)), plain.use, "shop.sweep:missing") is None
    assert plain_cron.find_hooks(plain.project, plain.use, plain.handler) == {}


def test_of_two_files_with_one_name_the_command_means_one(tmp_path: Path) -> None:
    other = {"tools/old/sweep.py": SWEEP, "crontab": "0 3 * * * python tools/old/sweep.py\n"}
    assert Plain(build(tmp_path / "r", {"shop/sweep.py": SWEEP, **other})).wiring == ()
    ours = {**other, "crontab": "0 3 * * * python /srv/app/shop/sweep.py\n"}
    assert [
        one.kind for one in Plain(build(tmp_path / "s", {"shop/sweep.py": SWEEP, **ours})).wiring
    ] == ["schedule"]

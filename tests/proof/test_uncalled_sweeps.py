"""A sweep that nobody calls brings nothing back."""

from __future__ import annotations

import shutil
from pathlib import Path

import helpers
import pytest
import yaml
from histories import RETURNED, history, reference

from skillrun.proof.judges.unattended import judge_sweeps
from skillrun.proof.uncalled_sweeps import find_uncalled

STRANGERS = Path(__file__).resolve().parents[1] / "strangers"
SWEEP = "shop.upkeep:requeue"
PLAIN = 'def requeue():\n    """requeue what is left."""\n'
TASK = f"@app.task\n{PLAIN}"
USED_BY = """\
from shop.upkeep import requeue

@app.{}
def tick():
    requeue()
"""
TWINS = """\
def _work(): ...
def scheduled(ctx):
    _work()
def requeue():
    _work()
"""
NAMED = f"@app.task(name='shop.bring_back')\n{PLAIN}"


@pytest.mark.parametrize(
    ("files", "uncalled"),
    [
        ({"shop/upkeep.py": PLAIN}, True),
        ({"shop/upkeep.py": TASK}, True),
        ({"shop/upkeep.py": TASK.replace("task", "task(schedules=[{'cron': '* * * * *'}])")}, True),
        ({"shop/upkeep.py": TASK.replace("task", "task(schedule=[{'cron': '* * * * *'}])")}, False),
        ({"shop/upkeep.py": TASK.replace("task", "periodic_task(crontab(minute='*'))")}, False),
        ({"shop/upkeep.py": TASK.replace("app.task", "every_quarter")}, False),
        ({"shop/upkeep.py": NAMED}, True),
        ({"shop/upkeep.py": NAMED, "shop/beat.py": "TASKS = ['shop.bring_back']\n"}, False),
        ({"shop/upkeep.py": PLAIN + "requeue()\n"}, False),
        ({"shop/upkeep.py": PLAIN, "crontab": "* * * * * python -m shop requeue\n"}, False),
        ({"shop/upkeep.py": PLAIN, "tests/test_upkeep.py": "requeue()\n"}, True),
        ({"src/shop/upkeep.py": PLAIN}, True),
        ({"shop/upkeep.py": PLAIN, "src/shop/upkeep.py": PLAIN}, False),
        ({"shop/upkeep.py": "from x import requeue\n"}, False),
        ({"shop/upkeep.py": "def requeue(\n"}, False),
        ({"shop/upkeep.py": PLAIN, "shop/tasks.py": USED_BY.format("task")}, True),
        ({"shop/upkeep.py": PLAIN, "shop/tasks.py": USED_BY.format("task(schedule=[1])")}, False),
        (
            {"shop/upkeep.py": PLAIN, "shop/tasks.py": USED_BY.format("task") + "tick.kiq()\n"},
            False,
        ),
        ({"shop/upkeep.py": TWINS, "shop/worker.py": "CRON = [scheduled]\n"}, False),
        ({"shop/upkeep.py": TWINS}, True),
    ],
)
def test_who_refers_to_a_sweep(files: dict[str, str], uncalled: bool, tmp_path: Path) -> None:
    helpers.write_files(tmp_path, {**files, ".skillrun/jobs/a.yaml": f"call: {SWEEP}\n"})
    helpers.git(tmp_path, "init", "--quiet")
    helpers.commit(tmp_path)
    assert find_uncalled(tmp_path, [SWEEP]) == ((SWEEP,) if uncalled else ())


PERIODIC = TASK.replace("task", "periodic_task(crontab(minute='*'))")
PROSE = {
    "shop/upkeep.py": PERIODIC,
    "README.md": "Each minute requeue looks for what is left.\n",
    "shop/mail.py": "def send():\n    log.error('away, left to requeue')\n",
}
WRAPPED = {"shop/upkeep.py": PLAIN, "shop/tasks.py": USED_BY.format("db_periodic_task(NIGHTLY)")}


@pytest.mark.parametrize(
    ("files", "scheduled", "uncalled"),
    [
        ({"shop/upkeep.py": PERIODIC}, (SWEEP,), False),
        ({"src/shop/upkeep.py": PERIODIC}, (SWEEP,), False),
        ({"shop/upkeep.py": PERIODIC}, (), True),  # --no-periodic
        ({"shop/upkeep.py": PERIODIC}, ("shop.mail:requeue",), True),
        ({"shop/upkeep.py": PERIODIC}, None, False),
        ({"shop/upkeep.py": PERIODIC, "crontab": "* * * * * python -m shop requeue\n"}, (), False),
        (PROSE, (), True),  # who tells of it starts nothing
        (PROSE, (SWEEP,), False),
        ({**PROSE, "shop/cli.py": "def main():\n    run('shop.upkeep:requeue')\n"}, (), False),
        (WRAPPED, ("shop.tasks:tick",), False),
        (WRAPPED, (), True),  # nothing that is started imports shop.tasks
        ({"shop/upkeep.py": TASK.replace("app.task", "every_quarter")}, (), False),
    ],
)
def test_a_decorator_is_believed_where_its_scheduler_was_not_seen(
    files: dict[str, str], scheduled: tuple[str, ...] | None, uncalled: bool, tmp_path: Path
) -> None:
    helpers.write_files(tmp_path, files)
    helpers.git(tmp_path, "init", "--quiet")
    helpers.commit(tmp_path)
    assert find_uncalled(tmp_path, [SWEEP], scheduled) == ((SWEEP,) if uncalled else ())


def test_a_folder_that_is_no_checkout_says_nothing(tmp_path: Path) -> None:
    assert find_uncalled(tmp_path / "none", [SWEEP]) == ()


def test_it_is_named_once() -> None:
    against = reference(uncalled=(SWEEP, "shop.upkeep:other"))
    (said,) = judge_sweeps(history("once", [RETURNED]), against)
    assert (said.rule, said.grade) == ("sweep-uncalled", "lost")
    assert not list(judge_sweeps(history("redeliver", [RETURNED]), against))


@pytest.mark.parametrize(
    "base", sorted(STRANGERS.glob("*/base")), ids=lambda base: base.parent.name
)
def test_the_sweeps_of_strangers_are_called(base: Path, tmp_path: Path) -> None:
    root = tmp_path / "repo"
    shutil.copytree(base, root)
    helpers.git(root, "init", "--quiet")
    helpers.commit(root)
    for path in sorted((root / ".skillrun" / "jobs").glob("*.yaml")):
        sweeps = yaml.safe_load(path.read_text()).get("recovers") or []
        assert find_uncalled(root, [sweep["call"] for sweep in sweeps]) == ()

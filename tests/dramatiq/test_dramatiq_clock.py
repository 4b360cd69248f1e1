"""The module that sends a Dramatiq job by the clock: its form, what starts it, what is refused, and
its own tests.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
import samples
from rows import real_but
from samples import Combination
from writing import assert_clean, case_of, write

from skillrun.skills.job_worker.scaffold.plan import plan
from skillrun.skills.job_worker.stages import contract, handler

TASKS, RUNNER, OWN = "shop/tasks.py", "shop/send_receipt_runner.py", "tests/test_send_receipt.py"
CRON = Combination("dramatiq", trigger="cron")
POLLER = Combination("dramatiq", trigger="poller", message="payload")
SPEC = ".skillrun/jobs/send-receipt.json"
START = "python -m shop.send_receipt_runner"


@pytest.mark.real
def test_a_cron_job_has_a_module_that_sends_and_a_line_that_starts_it(tmp_path: Path) -> None:
    written = write(tmp_path, CRON)
    assert {"send_receipt", "bury_send_receipt", "enqueue_send_receipt"} <= {*written.names(TASKS)}
    assert written.names(RUNNER) == ["due", "tick", "main"]
    text = written.text(RUNNER)
    assert "            tasks.enqueue_send_receipt(**payload)\n" in text
    assert "fcntl.LOCK_EX | fcntl.LOCK_NB" in text
    assert written.text("crontab").splitlines()[-1] == f'*/5 * * * * cd "$APP" && {START}'
    assert_clean(written)


@pytest.mark.real
def test_a_poller_has_a_loop_with_its_lock_and_its_jitter(tmp_path: Path) -> None:
    written = write(tmp_path, POLLER)
    text = written.text(RUNNER)
    assert "            tasks.enqueue_send_receipt(payload)\n" in text
    assert "fcntl.flock(own, fcntl.LOCK_EX)  #" in text
    assert "time.sleep(EVERY_S * random.uniform(0.9, 1.1))" in text
    assert_clean(written)


@pytest.mark.real
def test_what_is_due_is_told_from_what_was_given_up(tmp_path: Path) -> None:
    """Nothing marks a job that was given up as handled: the next tick would send it again."""
    words = "It leaves out what is done, and what "
    assert f"{words}has a row in dead_jobs: each tick" in write(tmp_path / "a", CRON).text(RUNNER)
    assert f"{words}was given up: each tick" in write(
        tmp_path / "b", replace(CRON, dead="none")
    ).text(RUNNER)


@pytest.mark.real
def test_notes_say_how_one_that_was_given_up_is_tried_again(tmp_path: Path) -> None:
    text = write(tmp_path, CRON, {"docs/operations.md": "# Operations\n"}).text(
        "docs/operations.md"
    )
    assert "found by `shop.send_receipt_runner:tick`." in text
    assert "mend the cause and publish the job again." in text


@pytest.mark.real
def test_a_cron_line_like_those_that_are_there(tmp_path: Path) -> None:
    there = "0 3 * * * cd /srv/shop && .venv/bin/python -m shop.sweep --all >> sweep.log\n"
    written = write(
        tmp_path, CRON, {"deploy/crontab": there, "shop/sweep.py": "print('sweeping')\n"}
    )
    line = "*/5 * * * * cd /srv/shop && .venv/bin/python -m shop.send_receipt_runner >> sweep.log"
    assert written.text("deploy/crontab").splitlines()[1:] == [line]


WORKERS = {
    "worker: dramatiq shop.tasks": START,
    "worker: poetry run dramatiq shop.tasks --processes 2": f"poetry run {START}",
    "worker: exec /srv/venv/bin/dramatiq-gevent shop.tasks 2>&1 | tee worker.log": (
        f"exec /srv/venv/bin/{START} 2>&1 | tee worker.log"
    ),
    "worker: python -m dramatiq shop.tasks": START,
}


@pytest.mark.real
@pytest.mark.parametrize("worker", real_but(WORKERS, "worker: dramatiq shop.tasks"))
def test_a_poller_is_started_as_the_workers_are(tmp_path: Path, worker: str) -> None:
    written = write(tmp_path, POLLER, {"Procfile": f"web: gunicorn shop\n{worker}\n"})
    assert written.text("Procfile").splitlines()[2:] == [f"send-receipt: {WORKERS[worker]}"]
    assert plan(case_of(written.root)).changes == ()


@pytest.mark.parametrize(
    "worker", ["worker: sh -c 'dramatiq shop.tasks'", "# dramatiq: dramatiq shop.tasks"]
)
def test_a_line_that_cannot_be_followed_is_no_example(tmp_path: Path, worker: str) -> None:
    written = write(tmp_path, POLLER, {"Procfile": f"{worker}\n"})
    assert written.text("Procfile") == f"{worker}\n"


DJANGO = {
    "manage.py": (
        "import sys\n\nfrom django.core.management import execute_from_command_line\n\n"
        "execute_from_command_line(sys.argv)\n"
    ),
    "config/__init__.py": "",
    "config/settings.py": (
        'INSTALLED_APPS = ["shop"]\nDRAMATIQ_BROKER = {"BROKER": "x.RedisBroker"}\n'
    ),
    "shop/apps.py": "",
    "Procfile": "worker: python manage.py rundramatiq\n",
}


@pytest.mark.real
def test_in_django_a_management_command_starts_it(tmp_path: Path) -> None:
    written = write(tmp_path, replace(POLLER, store="receiver", dead="framework"), DJANGO)
    assert (
        written.text("Procfile").splitlines()[-1] == "send-receipt: python manage.py send_receipt"
    )
    command = written.text("shop/management/commands/send_receipt.py")
    assert "        send_receipt_runner.main()\n" in command
    assert "__main__" not in written.text(RUNNER)


@pytest.mark.real
def test_in_django_its_line_is_read_through_the_command_and_the_commit(tmp_path: Path) -> None:
    written = write(tmp_path, replace(CRON, store="receiver", dead="framework"), DJANGO)
    assert written.text("crontab").endswith('cd "$APP" && python manage.py send_receipt\n')
    assert "transaction.on_commit(" in written.text(TASKS)
    assert [w.how for w in case_of(written.root).wiring if w.kind == "schedule"] == [
        "crontab */5 * * * *"
    ]


@pytest.mark.real
def test_a_publisher_of_ones_own_is_left_to_its_callers(tmp_path: Path) -> None:
    """What arguments it takes is not known; the message is."""
    own = "from shop.tasks import sweep\n\n\ndef order_paid(order):\n    sweep.send(order.id)\n"
    spec = samples.spec(CRON) | {
        "enqueue": {"call": "shop.orders:order_paid", "args": {"order": 7}}
    }
    more = {"shop/orders.py": own, SPEC: json.dumps(spec)}
    written = write(tmp_path, CRON, more)
    assert "            tasks.send_receipt.send(**payload)\n" in written.text(RUNNER)
    done = written.run("pytest", "-q", OWN)
    assert done.returncode == 0, done.stdout


@pytest.mark.real
def test_beside_a_handler_in_no_package(tmp_path: Path) -> None:
    spec = samples.spec(CRON) | {"handler": "tasks:send_receipt"}
    more = {"tasks.py": samples.files(CRON)[TASKS], SPEC: json.dumps(spec)}
    written = write(tmp_path, CRON, more, without=(TASKS,))
    assert written.text("crontab").endswith('cd "$APP" && python -m send_receipt_runner\n')
    assert "contract.no-scheduler" not in rules(written.root)
    assert_clean(written)


@pytest.mark.parametrize("library", ["periodiq", "dramatiq_crontab"])
def test_the_clock_that_is_there_is_left_to_its_owner(tmp_path: Path, library: str) -> None:
    clock = (
        f"import dramatiq\nfrom {library} import cron\n\n\n@dramatiq.actor\ndef nightly() -> None:"
        " ...\n"
    )
    files = {**samples.files(CRON), "shop/clock.py": clock}
    made = plan(case_of(helpers.build_tree(tmp_path / "repo", files)))
    assert f"{library.replace('_', '-')} is this repository's clock" in made.missing[0].message
    assert made.changes == ()


def rules(root: Path) -> set[str]:
    """What the stages that read the schedule find."""
    case = case_of(root)
    return {
        finding.rule for stage in (contract, handler) for finding in stage.examine(case).findings
    }


@pytest.mark.real
def test_without_its_line_it_is_never_scheduled(tmp_path: Path) -> None:
    written = write(tmp_path, CRON)
    missing = {"contract.no-scheduler", "handler.not-scheduled"}
    assert not missing & rules(written.root)
    (written.root / "crontab").unlink()
    assert missing <= rules(written.root)


BROKEN = [
    (RUNNER, "    for payload in due():", "    for payload in [*due()][1:]:"),
    (RUNNER, "        except Exception:", "        except KeyError:"),
    (TASKS, "        mailer.send(", "        print("),
]
LOCK = (RUNNER, "fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass")


@pytest.mark.real
@pytest.mark.parametrize("combination", [CRON, POLLER], ids=str)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    whole = written.run("pytest", "-q")
    assert whole.returncode == 0, whole.stdout
    for path, old, new in [*BROKEN, *([LOCK] if combination == CRON else [])]:
        text = written.text(path)
        assert old in text
        (written.root / path).write_text(text.replace(old, new))
        assert written.run("pytest", "-q", OWN).returncode == 1, (old, new)
        (written.root / path).write_text(text)

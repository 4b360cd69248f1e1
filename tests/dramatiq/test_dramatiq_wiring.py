"""Who starts by the clock what sends a Dramatiq actor its messages: crontab lines, timers, loops,
schedulers.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from dramatiq_repo import Shop, open_shop

from skillrun.frameworks.dramatiq import FRAMEWORK as dramatiq

ACTOR = (
    "@dramatiq.actor\ndef send_receipt(order_id): ...\n\ndef enqueue(order_id):\n   "
    " send_receipt.send(order_id)\n"
)
RUNNER = """
    from shop import tasks

    def tick():
        for order_id in (1, 2):
            tasks.enqueue(order_id)

    def main():
        tick()

    if __name__ == "__main__":
        main()
    """
LOOP = """
    import time
    from shop import tasks

    while True:
        tasks.enqueue(1)
        time.sleep(60)
    """
COMMAND = """
    from django.core.management.base import BaseCommand
    from shop.runner import main

    class Command(BaseCommand):
        def handle(self, *args, **options):
            main()
    """
LINE = "*/5 * * * * cd /srv/shop && python -m shop.runner"
COMMANDS = "shop/management/commands/receipts.py"
CLOCKS: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "a crontab line": (
        {"runner": RUNNER, "deploy/crontab": f"{LINE}\n"},
        ("deploy/crontab", "crontab */5 * * * *"),
    ),
    "a line with a script": (
        {"runner": RUNNER, "deploy/crontab": "0 3 * * * python shop/runner.py\n"},
        ("deploy/crontab", "crontab 0 3 * * *"),
    ),
    "a script that sends at its top": (
        {
            "runner": "from shop.tasks import send_receipt\nsend_receipt.send(1)\n",
            "deploy/crontab": f"{LINE}\n",
        },
        ("deploy/crontab", "crontab */5 * * * *"),
    ),
    "a management command": (
        {
            "runner": RUNNER,
            COMMANDS: COMMAND,
            "deploy/crontab": "0 3 * * * python manage.py receipts\n",
        },
        ("deploy/crontab", "crontab 0 3 * * *"),
    ),
    "a timer of systemd": (
        {
            "runner": RUNNER,
            "deploy/receipts.service": "[Service]\nExecStart=/venv/bin/python -m shop.runner\n",
            "deploy/receipts.timer": "[Timer]\nOnCalendar=hourly\n",
        },
        ("deploy/receipts.service", "systemd timer hourly"),
    ),
    "a loop": ({"runner": LOOP}, ("shop/runner.py", "loop that sleeps (poller)")),
    "the library schedule": (
        {
            "clock": (
                "import schedule\nfrom shop import tasks\nschedule.every().hour.do(tasks.enqueue,"
                " 1)\n"
            )
        },
        ("shop/clock.py", "schedule.every()....do(...)"),
    ),
}
NO_CLOCKS: dict[str, dict[str, str]] = {
    "nothing starts it": {"runner": RUNNER},
    "a line that starts another module": {
        "runner": RUNNER,
        "deploy/crontab": "0 3 * * * python -m shop.other\n",
    },
    "a file of the same name": {
        "runner": RUNNER,
        "jobs/runner.py": "print('no job')\n",
        "deploy/crontab": "0 3 * * * python -m jobs.runner\n",
    },
    "a line in a comment": {"runner": RUNNER, "deploy/crontab": f"# {LINE}\n"},
    "a start without a time": {
        "runner": RUNNER,
        "deploy/Procfile": "once: python -m shop.runner\n",
    },
    "a module that sends nothing": {
        "runner": "from shop import tasks\nprint(tasks)\n",
        "deploy/crontab": f"{LINE}\n",
    },
    "a workflow of the CI": {
        "runner": RUNNER,
        ".github/workflows/ci.yml": f"on: push\n# {LINE}\nrun: {LINE}\n",
    },
}


def schedules(shop: Shop) -> list[tuple[str, str]]:
    found = dramatiq.find_sends(shop.project, shop.use, shop.handler)
    assert any(wiring.kind == "enqueue" for wiring in found)  # what sends is said beside it
    return [
        (wiring.place.path, wiring.how)
        for wiring in found
        if wiring.kind == "schedule" and not wiring.in_tests
    ]


@pytest.mark.parametrize("which", CLOCKS)
def test_what_the_clock_starts_schedules_the_actor(tmp_path: Path, which: str) -> None:
    files, seen = CLOCKS[which]
    assert schedules(open_shop(tmp_path / "r", ACTOR, **files)) == [seen]


@pytest.mark.parametrize("which", NO_CLOCKS)
def test_what_no_clock_starts_is_no_schedule(tmp_path: Path, which: str) -> None:
    assert schedules(open_shop(tmp_path / "r", ACTOR, **NO_CLOCKS[which])) == []

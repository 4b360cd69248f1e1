"""Where a written job stands in the settings of arq's worker, and how its publisher comes to Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from arq_scaffold import ARQ, BASE, OWN, SENDS, SPEC, TASKS, TESTS, WORKER, worker
from writing import case_of, write

from skillrun.skills.job_worker.scaffold.plan import plan

SETTINGS: dict[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "a list of its own in the class": (
        {},
        (
            "    functions = [sweep, func(send_receipt,",
            "from shop.tasks import SEND_RECEIPT_ATTEMPTS, send_receipt, sweep\n",
        ),
    ),
    "jobs by their module": (
        {
            WORKER: (
                "import arq\n\nfrom shop import tasks\nfrom shop.queues import REDIS\n\n\nclass"
                " WorkerSettings:\n    functions = [tasks.sweep]\n    redis_settings = REDIS\n"
            )
        },
        (
            (
                "    functions = [\n        tasks.sweep,\n        arq.func(tasks.send_receipt, "
                "max_tries=tasks.SEND_RECEIPT_ATTEMPTS + 5),\n    ]\n"
            ),
            "import arq\n\nfrom shop import tasks\nfrom shop.queues import REDIS\n",
        ),
    ),
    "relative imports": (
        {
            WORKER: (
                "from .queues import REDIS\nfrom .tasks import sweep\n\n\nclass WorkerSettings:\n"
                "    functions = [sweep]\n    redis_settings = REDIS\n"
            )
        },
        (
            "from .tasks import SEND_RECEIPT_ATTEMPTS, send_receipt, sweep\n",
            "functions = [sweep, func(send_receipt",
        ),
    ),
    "a dictionary": (
        {
            "shop/orders.py": SENDS,
            WORKER: (
                "from shop.queues import REDIS\nfrom shop.tasks import sweep\n\n"
                'SETTINGS = {\n    "functions": [sweep],\n    "redis_settings": REDIS,\n}\n'
            ),
        },
        ('    "functions": [sweep, func(send_receipt, max_tries=SEND_RECEIPT_ATTEMPTS + 5)],\n',),
    ),
    "cron jobs alone": (
        {
            WORKER: (
                "from arq import cron\n\nfrom shop.queues import REDIS\nfrom shop.tasks import"
                " sweep\n\n\nclass WorkerSettings:\n    cron_jobs = [cron(sweep, minute=0)]\n   "
                " redis_settings = REDIS\n\n    async def on_startup(ctx): ...\n"
            )
        },
        (
            (
                "    redis_settings = REDIS\n    functions = [func(send_receipt,"
                " max_tries=SEND_RECEIPT_ATTEMPTS + 5)]\n\n"
            ),
        ),
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", SETTINGS)
def test_the_worker_lists_it(tmp_path: Path, name: str) -> None:
    files, lines = SETTINGS[name]
    written = write(tmp_path, BASE, files)
    for line in lines:
        assert line in written.text(WORKER)
    assert plan(case_of(written.root)).changes == ()


def test_a_list_that_stands_elsewhere_gets_it_there(tmp_path: Path) -> None:
    files = {
        "shop/jobs.py": "from shop.tasks import sweep\n\nJOBS = [\n    sweep,\n]\n",
        WORKER: (
            "from shop.jobs import JOBS\nfrom shop.queues import REDIS\n\n\nclass WorkerSettings:\n"
            "    functions = JOBS\n    redis_settings = REDIS\n"
        ),
    }
    written = write(tmp_path, BASE, files)
    assert (
        "    sweep,\n    func(send_receipt, max_tries=SEND_RECEIPT_ATTEMPTS + 5),\n]"
        in written.text("shop/jobs.py")
    )
    assert written.text(WORKER) == files[WORKER]


def test_of_several_workers_it_is_the_one_with_the_jobs_of_its_module(tmp_path: Path) -> None:
    other = (
        "from shop.queues import REDIS\n\n\nasync def count(ctx): ...\n\n\nclass CountSettings:\n"
    )
    other += "    functions = [count]\n    redis_settings = REDIS\n"
    written = write(tmp_path, BASE, {"shop/counting.py": other})
    assert "send_receipt" in written.text(WORKER)
    assert written.text("shop/counting.py") == other


# -- Redis

POOLS: dict[str, tuple[Mapping[str, str], tuple[str, ...], str]] = {
    "settings that any module can import": (
        {},
        ("\nfrom shop.queues import REDIS\n", "create_pool(REDIS)"),
        "import WorkerSettings",
    ),
    "settings of the worker's class": (
        {WORKER: worker(OWN, ARQ)},
        (
            "    from shop.worker import WorkerSettings\n\n",
            "create_pool(WorkerSettings.redis_settings)",
        ),
        "\nfrom shop.worker",
    ),
    "a name in the worker's module": (
        {WORKER: worker(head=f"{ARQ}REDIS = RedisSettings()\n")},
        ("    from shop.worker import REDIS\n", "create_pool(REDIS)"),
        "\nfrom shop.worker",
    ),
    "a queue of its own": (
        {WORKER: worker('    redis_settings = REDIS\n    queue_name = "mails"\n')},
        ('create_pool(REDIS, default_queue_name="mails")',),
        " _queue_name=",
    ),
    "serializers": (
        {
            "shop/packing.py": "def pack(job: object) -> bytes: ...\n",
            WORKER: worker(
                "    redis_settings = REDIS\n    job_serializer = pack\n",
                "from shop.packing import pack\nfrom shop.queues import REDIS\n",
            ),
        },
        ("create_pool(REDIS, job_serializer=pack)", "from shop.packing import pack\n"),
        "job_deserializer",
    ),
    "nothing": ({WORKER: worker("", "")}, ("create_pool()",), "REDIS"),
}


@pytest.mark.parametrize("name", POOLS)
def test_the_publisher_opens_the_workers_redis(tmp_path: Path, name: str) -> None:
    files, lines, not_there = POOLS[name]
    written = write(tmp_path, BASE, files)
    for line in lines:
        assert line in written.text(TASKS)
    assert not_there not in written.text(TASKS)


@pytest.mark.real
@pytest.mark.parametrize("name", POOLS)
def test_the_modules_can_be_imported_in_any_order(tmp_path: Path, name: str) -> None:
    written = write(tmp_path, BASE, POOLS[name][0])
    assert written.run("ruff", "format", "--check", TASKS).returncode == 0
    assert written.run("-c", "import shop.tasks, shop.worker").returncode == 0
    assert written.run("-c", "import shop.worker, shop.tasks").returncode == 0


@pytest.mark.real
def test_a_publisher_of_the_repositorys_own_is_left_to_publish(tmp_path: Path) -> None:
    orders = SENDS.replace("publish()", "settle(order_id, email)").replace(
        "'sweep'", "'send_receipt', order_id, email"
    )
    for trigger in ("event", "cron"):
        spec = samples.spec(replace(BASE, trigger=trigger))
        spec["enqueue"] = {
            "call": "shop.orders:settle",
            "args": {"order_id": 7, "email": "a@example.com"},
        }
        written = write(
            tmp_path / trigger, BASE, {"shop/orders.py": orders, SPEC: json.dumps(spec)}
        )
        own = trigger == "cron"  # its tick publishes under an id
        assert ("async def enqueue_send_receipt(" in written.text(TASKS)) is own
        assert ("create_pool" in written.text(TASKS)) is own
        assert ("class Pool:" in written.text(TESTS)) is own

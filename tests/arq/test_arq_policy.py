"""What an arq job really does: its policy, who enqueues it, what hears of it, and where arq is
used.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import helpers
import pytest
from arq_repo import FILES, Shop, open_shop

from skillrun.frameworks.arq import FRAMEWORK as arq
from skillrun.frameworks.interface import Backoff
from skillrun.frameworks.registry import RECOGNISED_ONLY, recognisers
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree

HEAD = "from arq import Retry\nfrom shop import dead_jobs, mailer\nN = 4\n"
NONE = Backoff("none")


def handler(end: str) -> str:
    inner = textwrap.indent(textwrap.dedent(end).strip("\n"), "        ")
    return (
        f"{HEAD}async def send_receipt(ctx, order_id):\n    try:\n        await"
        f" mailer.send(order_id)\n    except TimeoutError as error:\n{inner}\n"
    )


def worker(fields: str, head: str = "") -> str:
    imports = (
        "import os\nfrom arq import cron, func\nfrom arq.worker import Worker\nfrom shop import"
        " tasks\n"
    )
    return (
        f"{imports}from shop.tasks import send_receipt\n{head}\nclass WorkerSettings:\n   "
        f" {fields}\n"
    )


@pytest.mark.parametrize(
    ("end", "attempts", "backoff"),
    [
        ("raise", 1, NONE),
        ("raise Retry()", 5, NONE),
        ("raise Retry(defer=10)", 5, Backoff("fixed", 10.0)),
        ("raise Retry(ctx['job_try'] * 0 + 7)", 5, Backoff("fixed", 7.0)),
        ("raise Retry(defer=timedelta(minutes=1))", 5, Backoff("fixed", 60.0)),
        ("raise Retry(defer=2 * 3 ** (ctx['job_try'] - 1))", 5, Backoff("exponential", 2.0, 3.0)),
        (
            "raise Retry(defer=min(2 ** ctx['job_try'], 60))",
            5,
            Backoff("exponential", 2.0, 2.0, 60.0),
        ),
        ("if ctx['job_try'] < N:\n    raise Retry(defer=10)", 4, Backoff("fixed", 10.0)),
        ("if ctx['job_try'] >= 3:\n    return\nraise Retry(defer=10)", 3, Backoff("fixed", 10.0)),
        (
            "if ctx.get('job_try', 1) > 2:\n    return\nraise Retry(defer=10)",
            3,
            Backoff("fixed", 10.0),
        ),
        (
            "tried = int(ctx.get('job_try', 1) or 1)\nif tried < 3:\n    raise Retry(defer=10)",
            3,
            Backoff("fixed", 10.0),
        ),
        (
            "tried = ctx['job_try']\nif tried <= 3:\n    raise Retry(defer=10)",
            4,
            Backoff("fixed", 10.0),
        ),
        ("if ctx['job_try'] < 9:\n    raise Retry(defer=10)", 5, Backoff("fixed", 10.0)),
    ],
)
def test_retries(tmp_path: Path, end: str, attempts: int, backoff: Backoff) -> None:
    found = open_shop(tmp_path / "r", "from datetime import timedelta\n" + handler(end)).policy
    assert (found.max_attempts, found.backoff, dict(found.unknown)) == (attempts, backoff, {})
    assert found.retried == (() if attempts == 1 else ("builtins:TimeoutError",))
    assert (found.acks_late, found.time_limit_s, found.visibility_timeout_s) == (True, 300.0, 310.0)


def test_a_retry_that_no_error_leads_to_is_no_attempt(tmp_path: Path) -> None:
    bounded = handler("if ctx['job_try'] >= N:\n    return\nraise Retry(defer=5)")
    busy = bounded.replace(
        "    try:", "    if locked(order_id):\n        raise Retry(defer=95)\n    try:", 1
    )
    found = open_shop(tmp_path / "a", busy).policy
    assert (found.max_attempts, found.backoff, dict(found.unknown)) == (
        4,
        Backoff("fixed", 5.0),
        {},
    )
    alone = (
        f"{HEAD}async def send_receipt(ctx, order_id):\n    if not ready(order_id):\n        raise"
        " Retry(defer=9)\n"
    )
    assert open_shop(tmp_path / "b", alone).policy.max_attempts == 5


@pytest.mark.parametrize(
    ("fields", "attempts", "limit"),
    [
        ("functions = [send_receipt]", 5, 300.0),
        ("functions = (tasks.send_receipt,)\n    max_tries = 3\n    job_timeout = 60", 3, 60.0),
        ("functions = [func(send_receipt, max_tries=7, timeout=9)]\n    max_tries = 3", 7, 9.0),
        ("functions = [func('shop.tasks.send_receipt', max_tries=7)]", 7, 300.0),
        ("functions = ['shop.tasks.send_receipt']", 5, 300.0),
        ("cron_jobs = [cron(send_receipt, minute=0)]\n    max_tries = 3", 1, 300.0),
        ("cron_jobs = [cron(send_receipt, minute=0, max_tries=2)]", 2, 300.0),
        ("functions = [send_receipt]\n    retry_jobs = False", 1, 300.0),
    ],
)
def test_settings(tmp_path: Path, fields: str, attempts: int, limit: float) -> None:
    shop = open_shop(tmp_path / "r", handler("raise Retry(defer=10)"), worker=worker(fields))
    assert (shop.policy.max_attempts, shop.policy.time_limit_s, dict(shop.policy.unknown)) == (
        attempts,
        limit,
        {},
    )
    assert arq.find_registration(shop.project, shop.use, shop.handler) is not None


@pytest.mark.parametrize(
    ("fields", "head"),
    [
        ("functions = ALL", "ALL = [send_receipt]"),
        ("functions = [*ALL, print]", "ALL = (send_receipt,)"),
        ("functions = ALL + [print]", "ALL = [func(send_receipt)]"),
        ("x = 1", "made = Worker(functions=[send_receipt])"),
        ("x = 1", "settings = {'functions': [send_receipt], 'max_tries': 2}"),
    ],
)
def test_lists_are_followed(tmp_path: Path, fields: str, head: str) -> None:
    shop = open_shop(tmp_path / "r", handler("raise"), worker=worker(fields, head))
    assert arq.find_registration(shop.project, shop.use, shop.handler) is not None


def test_what_no_worker_lists_is_not_registered(tmp_path: Path) -> None:
    for name, text in (
        ("a", worker("functions = [print]")),
        ("b", "# functions = [send_receipt]\n"),
    ):
        shop = open_shop(tmp_path / name, handler("raise"), worker=text)
        assert arq.find_registration(shop.project, shop.use, shop.handler) is None


def test_what_is_set_below_the_class_counts(tmp_path: Path) -> None:
    later = (
        "\nWorkerSettings.cron_jobs = [cron(send_receipt, minute=0)]\nWorkerSettings.max_tries"
        " = 3\n"
    )
    shop = open_shop(tmp_path / "a", handler("raise"), worker=worker("cron_jobs = []") + later)
    assert [kind for kind, _ in shop.wiring] == ["schedule"]
    made = "\nWorkerSettings.cron_jobs = made()\n"
    shop = open_shop(
        tmp_path / "b",
        handler("raise"),
        worker=worker("functions = [print]\n    cron_jobs = []") + made,
    )
    assert arq.find_registration(shop.project, shop.use, shop.handler) is not None


def test_a_list_that_cannot_be_read_may_hold_it(tmp_path: Path) -> None:
    shop = open_shop(
        tmp_path / "r", handler("raise"), worker=worker("functions = discover('shop')")
    )
    place = arq.find_registration(shop.project, shop.use, shop.handler)
    assert place is not None and place.path == "shop/worker.py"


def test_what_is_computed_is_unknown(tmp_path: Path) -> None:
    fields = "functions = [func(send_receipt, max_tries=compute())]"
    found = open_shop(tmp_path / "a", handler("raise Retry(defer=5)"), worker=worker(fields)).policy
    assert set(found.unknown) == {"max_attempts"}
    assert set(
        open_shop(tmp_path / "b", handler("raise Retry(defer=wait(error))")).policy.unknown
    ) == {"backoff"}
    for name, test in (
        ("c", "ctx['job_try'] < limit()"),
        ("d", "row.attempts < 3"),
        ("e", "tries_left(ctx)"),
    ):
        guarded = handler(f"if {test}:\n    raise Retry(defer=5)")
        assert set(open_shop(tmp_path / name, guarded).policy.unknown) == {"max_attempts"}


RECORD = "await dead_jobs.record(order_id, error)"


@pytest.mark.parametrize(
    "end",
    [
        f"if ctx['job_try'] < N:\n    raise Retry(defer=5)\n{RECORD}",
        f"if ctx['job_try'] >= N:\n    {RECORD}\n    return\nraise Retry(defer=5)",
        RECORD,
    ],
)
def test_a_record_is_a_dead_letter(tmp_path: Path, end: str) -> None:
    place = open_shop(tmp_path / "r", handler(end)).policy.dead_letter
    assert place is not None and place.text.strip() == RECORD


@pytest.mark.parametrize(
    "end", ["raise Retry(defer=5) from error", "log.error('given up')", "raise Retry(wait(5))"]
)
def test_a_retry_is_none(tmp_path: Path, end: str) -> None:
    assert open_shop(tmp_path / "r", handler(end)).policy.dead_letter is None


def wired(root: Path, text: str, fields: str = "functions = [send_receipt]") -> Shop:
    return open_shop(root, handler("raise"), worker=worker(fields), orders=text)


@pytest.mark.parametrize(
    "text",
    [
        'async def settle(r):\n    await r.enqueue_job("send_receipt", 7)\n',
        'NAME = "send_receipt"\nasync def settle(r):\n    await r.enqueue_job(NAME, 7)\n',
        (
            "from shop import tasks\nasync def settle(r):\n    await"
            " r.enqueue_job(tasks.send_receipt.__name__, 7)\n"
        ),
        (
            "async def enqueue(name, *args):\n    await pool.enqueue_job(name, *args)\n\n"
            'async def settle():\n    await enqueue("send_receipt", 7)\n'
        ),
        (
            "class Jobs:\n    @classmethod\n    async def enqueue(cls, name, *args):\n        pool"
            " = await cls.pool()\n        await pool.enqueue_job(name, *args)\n\nasync def"
            ' settle():\n    await Jobs.enqueue("send_receipt", 7)\n'
        ),
    ],
)
def test_who_enqueues_it(tmp_path: Path, text: str) -> None:
    assert [kind for kind, _ in wired(tmp_path / "r", text).wiring] == ["enqueue"]


def test_another_name_is_another_job(tmp_path: Path) -> None:
    assert (
        wired(tmp_path / "r", 'async def settle(r):\n    await r.enqueue_job("other", 7)\n').wiring
        == []
    )


def test_who_schedules_it(tmp_path: Path) -> None:
    cron = wired(tmp_path / "a", "", "cron_jobs = [cron(send_receipt, minute=0)]")
    assert cron.wiring == [("schedule", "cron(...)")]
    orders = 'async def sweep(ctx):\n    await ctx["redis"].enqueue_job("send_receipt", 7)\n'
    fields = "functions = [send_receipt]\n    cron_jobs = [cron('shop.orders.sweep', minute=0)]"
    found = wired(tmp_path / "b", orders, fields).wiring
    assert sorted(kind for kind, _ in found) == ["enqueue", "schedule"]


def test_hooks(tmp_path: Path) -> None:
    ends = (
        "async def begun(ctx): ...\nasync def ended(ctx):\n    await Job(ctx['job_id'],"
        " ctx['redis']).result_info()\nasync def blind(ctx): ...\n"
    )
    fields = "functions = [send_receipt]\n    on_job_start = begun\n    after_job_end = {}"
    for name, expected in (("ended", ["failed", "started"]), ("blind", ["started"])):
        text = worker(fields.format(name), "from shop.ends import begun, blind, ended")
        shop = open_shop(tmp_path / name, handler("raise"), worker=text, ends=ends)
        assert sorted(arq.find_hooks(shop.project, shop.use, shop.handler)) == expected


def test_a_hook_may_be_written_into_the_class(tmp_path: Path) -> None:
    text = worker("functions = [send_receipt]\n\n    async def on_job_start(ctx): ...")
    shop = open_shop(tmp_path / "r", handler("raise"), worker=text)
    assert sorted(arq.find_hooks(shop.project, shop.use, shop.handler)) == ["started"]


def test_it_is_recognised_and_read(tmp_path: Path) -> None:
    files = {name: textwrap.dedent(text) for name, text in FILES.items()}
    use = survey_tree(Tree(helpers.build_tree(tmp_path, files)), recognisers()).use("arq")
    assert use is not None
    assert (use.app, use.task_modules, use.broker) == (
        "shop/worker.py:WorkerSettings",
        ("shop/tasks.py",),
        "redis",
    )
    assert "Procfile" in {place.path for place in use.evidence}
    assert "arq" not in RECOGNISED_ONLY


def test_settings_count_that_name_neither_the_library_nor_redis(tmp_path: Path) -> None:
    conf = "from arq.connections import RedisSettings\n\nREDIS = RedisSettings()\n"
    settings = (
        "from shop.conf import REDIS\nfrom shop.jobs import send\n\n\nclass {}:\n    functions ="
        " [send]\n"
    )
    files = {
        "requirements.txt": "arq\n",
        "shop/conf.py": conf,
        "shop/jobs.py": "async def send(ctx): ...\n",
    }
    for name, app in (("WorkerSettings", "shop/worker.py:WorkerSettings"), ("Settings", None)):
        root = helpers.build_tree(
            tmp_path / name, {**files, "shop/worker.py": settings.format(name)}
        )
        use = survey_tree(Tree(root), recognisers()).use("arq")
        assert (use.app if use else None) == app


def test_a_worker_of_ones_own_is_the_app_and_not_the_settings_beside_it(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "arq>=0.26\n",
        "shop/conf.py": (
            "from arq.connections import RedisSettings\n\n"
            "class Conf:\n    redis_settings = RedisSettings()\n"
        ),
        "shop/worker.py": (
            "from arq.worker import BaseWorker\nfrom shop.jobs import send\n\n"
            "class Worker(BaseWorker):\n    functions = [send]\n"
        ),
        "shop/jobs.py": "from arq import Retry\n\nasync def send(ctx): ...\n",
    }
    use = survey_tree(Tree(helpers.build_tree(tmp_path, files)), recognisers()).use("arq")
    assert use is not None
    assert use.app == "shop/worker.py:Worker"

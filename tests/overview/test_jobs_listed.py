"""`skillrun jobs`: what is a job in each library, what is not, and in which order they come."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from jsonschema import Draft202012Validator

from skillrun.cli.commands.jobs import open_reader, read_document
from skillrun.core.state import state_dir
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.skills.job_worker.overview.draft_verdicts import keep_draft_verdict

SCHEMA = Draft202012Validator(json.loads((helpers.ROOT / "schemas/jobs.v1.json").read_text()))
STRANGERS = {
    "async-tickets": ["tickets.tasks:refund_order"],
    "bank-payouts": ["bank_payouts.tasks:send_payout", "bank_payouts.tasks:publish_outbox"],
    "claims": ["backoffice.entrypoints.actors:pay_instalment"],
    "clinic-reminders": ["reminders.tasks:send_reminder"],
    "data-team": ["pipeline.actors:load_batch", "pipeline.shipper:ship_pending"],
    "django-shop": ["shop.tasks:ShipOrder", "shop.tasks:requeue_paid"],
    "meters": ["meterhub.jobs:archive_day", "meterhub.jobs:forecast_meter"],
    "parceldesk": ["parceldesk.jobs:print_label"],
    "school": ["absences.tasks:mail_absence", "billing.tasks:export_invoice"],
    "startup-hooks": ["hooks.jobs:deliver", "hooks.jobs:sweep"],
    "tidings": ["tidings.letters:deliver_letter", "tidings.worker:sweep"],
}
HELPER = "def tidy(order_id):\n    return order_id\n\n\n"
BY_LIBRARY = {
    "celery": {
        "shop/tasks.py": "from celery import Celery\napp = Celery('shop')\n"
        + HELPER
        + "@app.task\ndef send(order_id): ...\n",
        "shop/orders.py": "from shop.tasks import send\ndef settle():\n    send.delay(7)\n",
    },
    "dramatiq": {
        "shop/tasks.py": "import dramatiq\n"
        + HELPER
        + "@dramatiq.actor\ndef send(order_id): ...\n",
        "shop/orders.py": "from shop.tasks import send\ndef settle():\n    send.send(7)\n",
    },
    "huey": {
        "shop/tasks.py": "from huey import RedisHuey\nhuey = RedisHuey('shop')\n"
        + HELPER
        + "@huey.task()\ndef send(order_id): ...\n",
        "shop/orders.py": "from shop.tasks import send\ndef settle():\n    send(7)\n",
    },
    "rq": {
        "shop/tasks.py": HELPER + "def send(order_id): ...\n",
        "shop/orders.py": "from redis import Redis\nfrom rq import Queue\n"
        "from shop.tasks import send\nqueue = Queue(connection=Redis())\n"
        "def settle():\n    queue.enqueue(send, 7)\n",
    },
    "arq": {
        "shop/tasks.py": HELPER + "async def send(ctx, order_id): ...\n",
        "shop/worker.py": "from arq import create_pool\nfrom arq.connections import RedisSettings\n"
        "from shop.tasks import send\n"
        "class WorkerSettings:\n    functions = [send]\n",
        "shop/orders.py": "async def settle(pool):\n    await pool.enqueue_job('send', 7)\n",
    },
    "saq": {
        "shop/tasks.py": HELPER + "async def send(ctx, *, order_id): ...\n",
        "shop/queues.py": "from saq import Queue\nqueue = Queue.from_url('redis://localhost')\n",
        "shop/worker.py": "from shop.queues import queue\nfrom shop.tasks import send\n"
        "settings = {'queue': queue, 'functions': [send]}\n",
        "shop/orders.py": "from shop.queues import queue\n"
        "async def settle():\n    await queue.enqueue('send', order_id=7)\n",
    },
    "taskiq": {
        "shop/tasks.py": "from taskiq_redis import ListQueueBroker\n"
        "broker = ListQueueBroker('redis://localhost')\n"
        + HELPER
        + "@broker.task\nasync def send(order_id): ...\n",
        "shop/orders.py": "from shop.tasks import send\n"
        "async def settle():\n    await send.kiq(7)\n",
    },
    "procrastinate": {
        "shop/tasks.py": "import procrastinate\n"
        "app = procrastinate.App(connector=procrastinate.PsycopgConnector())\n"
        + HELPER
        + "@app.task\ndef send(order_id): ...\n",
        "shop/orders.py": "from shop.tasks import send\n"
        "def settle():\n    send.defer(order_id=7)\n",
    },
    "django-tasks": {
        "shop/tasks.py": "from django.tasks import task\n"
        + HELPER
        + "@task\ndef send(order_id): ...\n",
        "shop/orders.py": "from shop.tasks import send\ndef settle():\n    send.enqueue(7)\n",
    },
    "django-q2": {
        "shop/tasks.py": HELPER + "def send(order_id): ...\n",
        "shop/orders.py": "from django_q.tasks import async_task\n"
        "def settle():\n    async_task('shop.tasks.send', 7)\n",
    },
    "apscheduler": {
        "shop/tasks.py": "from apscheduler.schedulers.blocking import BlockingScheduler\n"
        "scheduler = BlockingScheduler()\n"
        + HELPER
        + "@scheduler.scheduled_job('interval', minutes=5)\ndef send(): ...\n",
    },
    "plain-cron": {
        "shop/tasks.py": HELPER + "def send(): ...\n\nif __name__ == '__main__':\n    send()\n",
        "deploy/crontab": "*/5 * * * * root python -m shop.tasks\n",
    },
}


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Path:
    """Where a repository is made."""
    return tmp_path / "repo"


def read_jobs(root: Path) -> dict[str, Any]:
    document = read_document(open_reader(root))
    SCHEMA.validate(document)
    return document


def list_handlers(root: Path) -> list[str]:
    return [job["handler"] for job in read_jobs(root)["jobs"]]


def make_shop(root: Path, files: dict[str, str]) -> Path:
    return helpers.build_tree(root, {"shop/__init__.py": "", **files})


def test_every_library_that_is_read_has_its_row() -> None:
    assert BY_LIBRARY.keys() == FRAMEWORKS.keys()


@pytest.mark.parametrize("library", BY_LIBRARY)
def test_a_job_is_found_in_every_library_and_a_helper_beside_it_is_none(
    library: str, place: Path
) -> None:
    document = read_jobs(make_shop(place, BY_LIBRARY[library]))
    found = [(job["handler"], job["library"]) for job in document["jobs"]]
    assert found == [("shop.tasks:send", library)]


@pytest.mark.parametrize("name", STRANGERS)
def test_the_jobs_of_a_strangers_repository(name: str, place: Path) -> None:
    """The costliest first; what a worker calls around its jobs is no job."""
    shutil.copytree(helpers.ROOT / "tests/strangers" / name / "base", place)
    shutil.rmtree(place / ".skillrun")
    helpers.git(place, "init", "-q")
    assert list_handlers(place) == STRANGERS[name]


PAYMENTS = {
    "shop/tasks.py": """
        import requests
        from celery import Celery

        app = Celery("shop")

        @app.task
        def write_statistics():
            db.execute("insert into statistics values (1)")

        @app.task
        def refund_keyed(order_id):
            requests.post("https://pay.example/refunds", headers={"Idempotency-Key": order_id})

        @app.task
        def mail_receipt(order_id):
            requests.post("https://mail.example/send", json={"order": order_id})

        @app.task
        def charge_card(order_id):
            requests.post("https://pay.example/charges", json={"order": order_id})
        """
}


def test_a_payment_without_a_key_comes_first(place: Path) -> None:
    names = [path.rpartition(":")[2] for path in list_handlers(make_shop(place, PAYMENTS))]
    assert names == ["charge_card", "mail_receipt", "refund_keyed", "write_statistics"]


def test_a_default_that_unread_options_may_have_changed_is_not_told(place: Path) -> None:
    """Neighbour: where the options are read, the library's default is what holds."""
    files = {
        "shop/tasks.py": """
            import os
            import dramatiq

            @dramatiq.actor(**dict(os.environ))
            def hidden(order_id): ...

            @dramatiq.actor
            def plain(order_id): ...
            """
    }
    words = {
        job["handler"].rpartition(":")[2]: job["policy"]["words"]
        for job in read_jobs(make_shop(place, files))["jobs"]
    }
    assert words["hidden"].startswith("tries not read")
    assert words["plain"].startswith("21 tries")


def test_a_spec_says_what_no_reading_can_see(home: Path, tmp_path: Path) -> None:
    """The shop's adapter is a stub, so that nothing but the spec says that it sends."""
    root = shops.shop(tmp_path / "shop")
    (job,) = read_jobs(root)["jobs"]
    assert job["spec"] == shops.SPEC
    assert [effect["name"] for effect in job["effects"]] == ["shop.mailer.send"]
    assert len(job["tests"]) == 4
    assert job["verdict"] is None


def test_a_proof_without_a_spec_is_told_until_something_changes(home: Path, tmp_path: Path) -> None:
    root = shops.shop(tmp_path / "shop")
    handler = "shop.tasks:send_receipt"
    content = open_reader(root).tree.hash_everything()
    keep_draft_verdict(root, handler, "refuted", content)
    # What a draft came to says nothing of a job whose spec promises other things.
    (with_spec,) = read_jobs(root)["jobs"]
    assert with_spec["verdict"] is None
    (root / shops.SPEC).unlink()
    keep_draft_verdict(root, handler, "refuted", open_reader(root).tree.hash_everything())
    (job,) = read_jobs(root)["jobs"]
    told = {"verdict": "refuted", "run": None, "changed_since": False, "believed": True}
    assert job["verdict"] == told
    (root / "shop/mailer.py").write_text("")
    (changed,) = read_jobs(root)["jobs"]
    assert changed["verdict"] == {**told, "changed_since": True}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verdict": "fine", "content": "x"}'])
def test_a_kept_verdict_that_says_nothing_is_none(text: str, home: Path, tmp_path: Path) -> None:
    root = shops.shop(tmp_path / "shop")
    (root / shops.SPEC).unlink()
    keep_draft_verdict(root, "shop.tasks:send_receipt", "proved", "x")
    (kept,) = (state_dir() / "draft-verdicts").iterdir()
    kept.write_text(text)
    (job,) = read_jobs(root)["jobs"]
    assert job["verdict"] is None


def test_without_a_spec_an_adapter_is_what_brings_the_errors_that_are_tried_again(
    home: Path, tmp_path: Path
) -> None:
    """As the draft has it, and no more certain."""
    root = shops.shop(tmp_path / "shop")
    (root / shops.SPEC).unlink()
    mailer = root / "shop/mailer.py"
    mailer.write_text(mailer.read_text().replace("urllib.request.urlopen(", "opener.open("))
    (job,) = read_jobs(root)["jobs"]
    (effect,) = job["effects"]
    assert (effect["name"], effect["kind"]) == ("shop.mailer.send", "outside")
    assert (effect["keyed"], effect["certain"]) == (True, False)


def test_nothing_is_written_and_no_code_of_the_repository_runs(place: Path) -> None:
    trap = "import pathlib\npathlib.Path('ran').write_text('x')\n"
    root = make_shop(place, {**BY_LIBRARY["celery"], "conftest.py": trap, "shop/trap.py": trap})
    before = shops.listing(root)
    done = helpers.run_cli("jobs", cwd=root)
    assert done.returncode == 0
    assert shops.listing(root) == before


def test_a_terminal_reads_one_job_after_the_other_and_what_to_type(place: Path) -> None:
    done = helpers.run_cli("jobs", cwd=make_shop(place, PAYMENTS))
    lines = done.stdout.splitlines()
    assert lines[0].startswith("shop.tasks:charge_card  celery  shop/tasks.py:")
    assert "requests.post (http, money, no key seen)" in lines[2]
    assert lines[-1].strip() == "next: skillrun spec init --from shop.tasks:charge_card"


RUBY = {
    "app/jobs/mail.rb": "class Mail\n  include Sidekiq::Job\nend\n",
    "Gemfile": "gem 'sidekiq'\n",
}


def test_where_no_job_is_the_next_step_is_said(place: Path) -> None:
    root = make_shop(place, {"shop/orders.py": HELPER})
    done = helpers.run_cli("jobs", cwd=root)
    assert done.returncode == 3
    said = done.stdout
    assert said.startswith("no job was found here\n  looked for: jobs of APScheduler, ")
    assert "specs in .skillrun/jobs/" in said
    assert "a job that is there: name its handler in a spec: skillrun spec init --set job=" in said
    assert "a new job: add a job library, or name plain-cron" in said
    assert "skillrun detect" in said
    SCHEMA.validate(read_document(open_reader(root)))


def test_where_a_library_is_in_use_none_is_to_be_added(place: Path) -> None:
    app = "from celery import Celery\n\napp = Celery('shop')\n"
    done = helpers.run_cli("jobs", cwd=make_shop(place, {"shop/celery.py": app}))
    assert "no job was found here" in done.stdout
    assert "a new job: skillrun spec init asks for its contract, " in done.stdout


def test_a_job_of_another_language_is_named_in_its_words(place: Path) -> None:
    done = helpers.run_cli("jobs", cwd=helpers.build_tree(place, RUBY))
    assert "Sidekiq: in use here" in done.stdout
    said = "a job that is there, in Ruby: skillrun spec init --set job=NAME --set language=ruby"
    assert said in done.stdout
    assert "package.module:function" not in done.stdout


@pytest.mark.parametrize("kind", ["a pipe", "brackets", "no YAML"])
def test_a_spec_that_cannot_be_read_is_said(kind: str, tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", BY_LIBRARY["celery"])
    spec = repo / ".skillrun/jobs/send.yaml"
    spec.parent.mkdir(parents=True)
    if kind == "a pipe":
        os.mkfifo(spec)
    else:
        spec.write_text("[" * 100_000 if kind == "brackets" else "job: [\n")
    document = read_document(open_reader(repo))
    SCHEMA.validate(document)
    (unread,) = document["unread_specs"]
    assert unread["path"] == ".skillrun/jobs/send.yaml"
    assert unread["why"]

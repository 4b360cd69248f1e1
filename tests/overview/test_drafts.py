"""`skillrun spec init --from`: what the code says becomes a spec; what it does not say is asked."""

from __future__ import annotations

import datetime
import shutil
import uuid
from decimal import Decimal
from pathlib import Path

import helpers
import pytest
import shops
from rows import real_but

from skillrun.cli.commands.jobs import open_reader
from skillrun.cli.commands.spec import check, draft_from
from skillrun.contract.spec import load_spec
from skillrun.core.errors import Misuse
from skillrun.skills.job_worker.drafting.annotated import write_annotated
from skillrun.skills.job_worker.drafting.draft import draft_spec
from skillrun.skills.job_worker.drafting.messages import name_call
from skillrun.skills.job_worker.readings.tables import uniqueness

STRANGERS = sorted(path.parent.name for path in (helpers.ROOT / "tests/strangers").glob("*/base"))


def without_spec(root: Path) -> Path:
    shops.shop(root)
    (root / shops.SPEC).unlink()
    return root


@pytest.mark.real
def test_a_draft_says_what_the_code_has_and_where(home: Path, tmp_path: Path) -> None:
    """Set beside the spec that a person wrote of the same job."""
    root = shops.shop(tmp_path / "shop", proof=True)
    wanted = load_spec(root / shops.SPEC)
    (root / shops.SPEC).unlink()
    drafted = load_spec(draft_from(root, "send_receipt", {}))
    assert drafted.handler == wanted.handler
    assert drafted.retry == wanted.retry
    assert drafted.dead_letter == wanted.dead_letter
    assert [effect.call for effect in drafted.effects or ()] == ["shop.mailer:send"]
    assert drafted.effects is not None
    assert drafted.effects[0].key_arg == "idempotency_key"
    assert drafted.failures is not None
    assert wanted.failures is not None
    assert set(wanted.failures.transient_names) <= set(drafted.failures.transient_names)
    assert set(wanted.failures.permanent_names) <= set(drafted.failures.permanent_names)
    assert drafted.proof is not None
    assert wanted.proof is not None
    assert drafted.proof.database == wanted.proof.database
    text = (root / shops.SPEC).read_text()
    assert "handler: shop.tasks:send_receipt  # shop/tasks.py:" in text
    assert "retry:  # shop/tasks.py:" in text
    # Nothing read says that the receiver looks at it: a person must know that it was guessed.
    assert "# guessed: effects.0.guarantee: keyed, since send takes idempotency_key" in text


@pytest.mark.real
def test_the_strategy_is_a_decision_and_what_was_seen_a_proposal(
    home: Path, tmp_path: Path
) -> None:
    root = without_spec(tmp_path / "shop")
    path = draft_from(root, "shop.tasks:send_receipt", {})
    spec = load_spec(path)
    assert spec.idempotency is not None
    assert spec.idempotency.strategy == "unknown"
    assert "proposed: {strategy: keyed, key: [order_id], dedupe: {store: table receipts}}" in (
        path.read_text()
    )
    assert "idempotency.undefined" in shops.rules(shops.report(root, code=3))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "said"),
    [("async-tickets", "store: table steps}"), ("ferryboard", "store: table Refund}")],
)
def test_the_proposed_store_is_one_that_the_run_finds(
    name: str, said: str, home: Path, tmp_path: Path
) -> None:
    """A person copies it. "table of Step" was a table that is called "of"."""
    root = tmp_path / name
    shutil.copytree(helpers.ROOT / "tests/strangers" / name / "base", root)
    helpers.git(root, "init", "-q")
    reader = open_reader(root)
    proposed = []
    for job in reader.jobs:
        proposed += [one for one in draft_spec(reader, job).decisions if "store: " in one]
    (one,) = proposed
    assert said in one
    assert uniqueness.tables(reader.project, said.split()[-1].rstrip("}"))


# One of each library.
QUICK = ("optiker", "lohnbuero", "museum", "windpark")


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(STRANGERS, *QUICK))
def test_every_job_of_a_strangers_repository_can_be_drafted(
    name: str, home: Path, tmp_path: Path
) -> None:
    """The text is a valid spec, whatever the names in the code are."""
    root = tmp_path / name
    shutil.copytree(helpers.ROOT / "tests/strangers" / name / "base", root)
    shutil.rmtree(root / ".skillrun")
    helpers.git(root, "init", "-q")
    reader = open_reader(root)
    assert reader.jobs
    for job in reader.jobs:
        path = root / "drafted.yaml"
        path.write_text(write_annotated(draft_spec(reader, job)))
        spec = load_spec(path)
        # Of a class, the object that is made of it is what the library runs.
        assert spec.handler is not None
        assert spec.handler.partition(":")[0] == job.handler.import_path.partition(":")[0]
        assert spec.idempotency is not None
        assert spec.idempotency.strategy == "unknown"


def test_a_job_that_is_not_there_is_answered_with_those_that_are(
    home: Path, tmp_path: Path
) -> None:
    root = without_spec(tmp_path / "shop")
    with pytest.raises(Misuse) as refused:
        draft_from(root, "shop.tasks:send_receit", {})
    assert refused.value.hint == "jobs here: shop.tasks:send_receipt"


OF_A_ROW = {
    "shop/__init__.py": "",
    "shop/jobs.py": "def send_receipt(order_id): ...\n",
    "shop/worker.py": (
        "from redis import Redis\nfrom rq import Queue\nqueue = Queue(connection=Redis())\n"
        "def publish(row):\n    queue.enqueue(row.path, **row.message)\n"
    ),
}


def test_a_function_that_a_person_names_is_a_job_where_a_library_runs_any(
    home: Path, tmp_path: Path
) -> None:
    """Its path lies in a row, which no reading shows: "no job is called so" was the end of it."""
    reader = open_reader(helpers.build_tree(tmp_path / "shop", OF_A_ROW))
    assert not reader.jobs
    job = reader.find_job("shop.jobs:send_receipt")
    assert job is not None
    assert job.use.id == "rq"
    # What names no function, and what is only like a name, is none.
    assert reader.find_job("shop.jobs:send") is None
    assert reader.find_job("send_receipt") is None


def test_a_job_is_found_by_another_modules_name_of_it(home: Path, tmp_path: Path) -> None:
    """As the module has it that starts the worker."""
    files = {
        "shop/__init__.py": "",
        "shop/tasks.py": "from celery import shared_task\n@shared_task\ndef f(order_id): ...\n",
        "shop/worker.py": "from shop.tasks import f\n",
    }
    reader = open_reader(helpers.build_tree(tmp_path / "shop", files))
    job = reader.find_job("shop.worker:f")
    assert job is not None
    assert job.handler.import_path == "shop.tasks:f"


def test_a_library_that_knows_its_tasks_runs_no_other_function(home: Path, tmp_path: Path) -> None:
    tasks = "from celery import shared_task\n@shared_task\ndef f(order_id): ...\ndef g(): ...\n"
    files = {"shop/__init__.py": "", "shop/tasks.py": tasks}
    reader = open_reader(helpers.build_tree(tmp_path / "shop", files))
    assert reader.find_job("shop.tasks:g") is None


def test_no_effect_read_is_no_promise_that_there_is_none(home: Path, tmp_path: Path) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/tasks.py": "from celery import shared_task\n@shared_task\ndef f(order_id): ...\n",
    }
    root = helpers.build_tree(tmp_path / "shop", files)
    spec = load_spec(draft_from(root, "f", {}))
    assert spec.effects is None


@pytest.mark.parametrize(
    ("path", "name"),
    [("shop.mail:send", "send"), ("shop.mill:Client._call", "call"), ("shop.mill:__", "effect")],
)
def test_an_effect_gets_a_name_that_a_spec_takes(path: str, name: str) -> None:
    assert name_call(path) == name


def test_values_that_no_caller_gives_are_what_the_annotations_ask_for(
    home: Path, tmp_path: Path
) -> None:
    taken = "order: uuid.UUID, day: datetime.date, sum: Decimal, to_email: str, word: str"
    files = {
        "shop/__init__.py": "",
        "shop/tasks.py": (
            "import datetime, uuid\nfrom decimal import Decimal\nfrom celery import shared_task\n"
            f"@shared_task\ndef f({taken}): ...\n"
        ),
    }
    spec = load_spec(draft_from(helpers.build_tree(tmp_path / "shop", files), "f", {}))
    first, second = spec.examples
    for example in (first, second):
        uuid.UUID(example["order"])
        datetime.date.fromisoformat(example["day"])
        Decimal(example["sum"])
        assert "@" in example["to_email"]
    # A word may be one that the code knows.
    same = [name for name in first if first[name] == second[name]]
    assert same == ["word"]


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("send_receit", "send_receipt", "shop/tasks.py has no send_receit"),
        ("[order]", "[order_id]", "the payload has no field order"),
    ],
)
def test_spec_check_knows_the_code(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    wrong: str,
    right: str,
    said: str,
) -> None:
    root = shops.shop(tmp_path / "shop")
    spec = root / shops.SPEC
    assert check(spec, root, json=False) == 0
    text = spec.read_text()
    assert right in text
    spec.write_text(text.replace(right, wrong, 1))
    assert check(spec, root, json=False) == 4
    assert said in capsys.readouterr().out


PLAIN = {"shop.py": "def charge(order): ...\n", "empty.py": "RATE = 1\n"}


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("shop:chrge", "shop.py has no chrge: shop:charge is there; correct handler:"),
        ("shop:refund", "shop.py has no refund: there: charge; correct handler:, or write refund"),
        ("empty:charge", "empty.py has no charge: no function stands there; correct handler:"),
    ],
)
def test_spec_check_says_what_a_module_has(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], handler: str, said: str
) -> None:
    """Also a function that no job library knows: a spec may name it."""
    root = helpers.build_tree(tmp_path / "shop", PLAIN)
    spec = tmp_path / "job.yaml"
    spec.write_text(f"version: 1\njob: charge\nhandler: {handler}\n")
    assert check(spec, root, json=False) == 4
    assert said in capsys.readouterr().out


def test_spec_check_asks_for_the_message_that_a_proof_delivers(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shops.shop(tmp_path / "shop", proof=True)
    spec = root / shops.SPEC
    assert check(spec, root, json=False) == 0
    spec.write_text(spec.read_text().replace("  examples:", "  x-examples:", 1))
    assert check(spec, root, json=False) == 4
    assert "payload.examples: there is none" in capsys.readouterr().out


def test_an_error_that_is_only_guessed_to_be_permanent_is_listed_as_a_guess(
    home: Path, tmp_path: Path
) -> None:
    """A reader takes a list without a word for what the code says."""
    reader = open_reader(without_spec(tmp_path / "shop"))
    draft = draft_spec(reader, reader.jobs[0])
    permanent = ["shop.mailer:Known", "shop.mailer:Unread", {"type": "shop.mailer:Tried"}]
    draft.values["failures"]["permanent"] = permanent
    draft.unsure = ("shop.mailer:Unread",)
    draft.guessed_errors = {"shop.mailer:Tried"}
    guessed = "# guessed: nobody says whether another try helps"
    lines = write_annotated(draft).splitlines()
    told = {line.strip().partition("  # ")[0] for line in lines if line.endswith(guessed)}
    assert told == {"- shop.mailer:Unread", "- type: shop.mailer:Tried"}


def test_a_class_is_found_by_the_object_that_the_library_runs(home: Path, tmp_path: Path) -> None:
    """That is what a draft calls its handler, and what a sender imports."""
    tasks = """
        from celery import Celery, Task

        app = Celery()


        class ShipOrder(Task):
            name = "ship"

            def run(self, order_id): ...


        ship_order = app.register_task(ShipOrder())
        """
    files = {"shop/__init__.py": "", "shop/tasks.py": tasks}
    reader = open_reader(helpers.build_tree(tmp_path / "shop", files))
    by_class, by_object = reader.find_job("shop.tasks:ShipOrder"), reader.find_job("ship_order")
    assert by_class is not None
    assert by_class is by_object is reader.find_job("shop.tasks:ship_order")

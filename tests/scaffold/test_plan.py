"""What is planned for a job: where it goes, what comes first, that a second time changes
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import pytest
import samples
import yaml
from writing import Written, case_of, write

from skillrun.core.errors import SkillrunError
from skillrun.skills.job_worker.scaffold.completion import completed
from skillrun.skills.job_worker.scaffold.machine import marked
from skillrun.skills.job_worker.scaffold.plan import plan

BASE = samples.Combination("celery")
SPEC = ".skillrun/jobs/send-receipt.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(tmp_path_factory.mktemp("celery"), BASE)


def test_each_part_goes_where_such_parts_live(written: Written) -> None:
    assert {change.path: change.before is None for change in written.plan.changes} == {
        "shop/mailer.py": True,
        "shop/send_receipt_store.py": True,
        "shop/tasks.py": False,
        "tests/test_send_receipt.py": True,
        "shop/send-receipt.state-machine.md": True,
        SPEC: False,
    }
    assert written.names("shop/mailer.py") == ["Unavailable", "BadAddress", "send"]
    assert written.names("shop/send_receipt_store.py") == ["create_tables", "once", "bury"]


def test_nothing_that_was_there_is_lost(written: Written) -> None:
    for change in written.plan.changes:
        rest = iter(change.after.splitlines())
        assert all(
            line.rstrip(",") in (one.rstrip(",") for one in rest)
            for line in (change.before or "").splitlines()
        )


def test_a_library_without_templates_is_named(tmp_path: Path) -> None:
    flow = "from dbos import DBOS\n\ndb = DBOS(config={})\n\n\n@DBOS.workflow()\ndef sweep(): ...\n"
    files = {
        **samples.COMMON,
        "requirements.txt": "dbos\n",
        "shop/flow.py": flow,
        SPEC: json.dumps(samples.spec(BASE)),
    }
    made = plan(case_of(helpers.build_tree(tmp_path / "repo", files)))
    assert made.changes == ()
    assert [finding.message for finding in made.missing] == ["skillrun has no templates for dbos"]


def test_a_second_time_changes_and_keeps_nothing(written: Written) -> None:
    again = plan(case_of(written.root))
    assert (again.changes, again.kept, again.missing) == ((), (), ())


@pytest.mark.real
def test_it_passes_the_linters_and_its_own_tests(written: Written) -> None:
    assert written.run("ruff", "check", ".").stdout == "All checks passed!\n"
    assert written.run("ruff", "format", "--check", ".").returncode == 0
    done = written.run("pytest", "-q")
    assert done.returncode == 0, done.stdout


@pytest.mark.real
def test_names_of_the_repository_are_hidden_by_none_of_the_scaffold(tmp_path: Path) -> None:
    """A session that is called session, and models in a module model."""
    combination = samples.Combination("celery", store="sqlalchemy")
    files = samples.files(combination)
    more = {
        "shop/model.py": files["shop/models.py"],
        "shop/db.py": (
            files["shop/db.py"]
            .replace("import sessionmaker", "import scoped_session, sessionmaker")
            .replace(
                "SessionLocal = sessionmaker(engine)",
                "session = scoped_session(sessionmaker(engine))",
            )
        ),
    }
    written = write(tmp_path, combination, more, without=["shop/models.py"])
    assert "with sessions.session_factory() as session" in written.text(
        "shop/send_receipt_store.py"
    )
    done = written.run("pytest", "-q")
    assert done.returncode == 0, done.stdout
    assert written.run("mypy", "shop").returncode == 0


@pytest.mark.real
def test_a_test_notices_a_lost_effect(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    text = written.text("shop/tasks.py")
    start = text.index("        mailer.send(")
    end = text.index(")\n    logger", start)
    (written.root / "shop/tasks.py").write_text(
        text[:start] + "        pass" + text[end + 1 :], encoding="utf-8"
    )
    assert written.run("pytest", "-q").returncode == 1


@pytest.mark.real
def test_an_edited_handler_stays_and_its_difference_is_shown(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    path = written.root / "shop/tasks.py"
    path.write_text(
        written.text("shop/tasks.py").replace("succeeded", "went well"), encoding="utf-8"
    )
    again = plan(case_of(written.root))
    assert again.changes == ()
    assert [(kept.path, kept.name) for kept in again.kept] == [("shop/tasks.py", "send_receipt")]
    assert "-" in again.kept[0].diff and "went well" in again.kept[0].diff


@pytest.mark.real
def test_a_filled_in_adapter_is_nobodys_business(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    path = written.root / "shop/mailer.py"
    path.write_text(
        written.text("shop/mailer.py").replace("raise NotImplementedError", "print"),
        encoding="utf-8",
    )
    again = plan(case_of(written.root))
    assert (again.changes, again.kept) == ((), ())


@pytest.mark.real
def test_a_deleted_part_comes_back(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    (written.root / "tests/test_send_receipt.py").unlink()
    assert [change.path for change in plan(case_of(written.root)).changes] == [
        "tests/test_send_receipt.py"
    ]


# -- what comes first

CHANGED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no effects": (lambda spec: spec.pop("effects"), "the spec says nothing of effects"),
    "no retry": (lambda spec: spec.pop("retry"), "the spec says nothing of retry"),
    "dead letters that Celery has not": (
        lambda spec: spec.update(dead_letter={"kind": "framework"}),
        "Celery keeps no dead letters of its own",
    ),
    "at most once, and retried": (
        lambda spec: spec["effects"][0].update(guarantee="at_most_once", reason="No keys"),
        "retry: none",
    ),
    "transactional without an adapter": (
        lambda spec: spec["effects"][0].update(guarantee="transactional"),
        "backend/persistence-layer-change",
    ),
    "a builtin that is none": (
        lambda spec: spec["failures"].update(transient=["Unreachable"]),
        "there is no builtin error Unreachable",
    ),
    "a field with a name of the handler's own": (
        lambda spec: spec["payload"]["properties"].update(first={"type": "integer"}),
        "the handler has a use of its own for the name first",
    ),
    "an empty list of effects": (lambda spec: spec.update(effects=[]), "the job has no effects"),
    "a handler in the standard library": (
        lambda spec: spec.update(handler="os.path:send_receipt"),
        "os is a library",
    ),
    "a handler in the job library": (
        lambda spec: spec.update(handler="celery.app:send_receipt"),
        "celery is a library",
    ),
    "a method of a class that is not there": (
        lambda spec: spec["effects"][0].update(call="shop.mailer:Client.send"),
        "shop.mailer:Client is not there",
    ),
    "a table that is no name": (
        lambda spec: spec["idempotency"]["dedupe"].update(store="table drop table x; --"),
        "'drop table x; --' is no name of a table",
    ),
    "a table that is a word of SQL": (
        lambda spec: spec.update(dead_letter={"kind": "table", "where": "order"}),
        "'order' is no name of a table",
    ),
    "a field that hides the logger": (
        lambda spec: spec["payload"]["properties"].update(logger={"type": "string"}),
        "a use of its own for the name logger",
    ),
    "a lease in Redis, and nothing that keeps a job which was given up": (
        lambda spec: (
            spec["idempotency"]["dedupe"].update(store="redis receipts"),
            spec.update(dead_letter={"kind": "none", "reason": "It can be asked for again"}),
        ),
        "with dead_letter none the job is lost",
    ),
    "one attempt, and nothing that is left of a job whose worker died": (
        lambda spec: spec.update(
            retry={"kind": "none", "reason": "Somebody looks at each failure"},
            dead_letter={"kind": "none", "reason": "It can be asked for again"},
        ),
        "a worker that dies takes the job with it",
    ),
    "a field with a module's name": (
        lambda spec: spec["payload"].update(
            required=["order_id", "mailer"],
            properties={"order_id": {"type": "integer"}, "mailer": {"type": "string"}},
            examples=[{"order_id": 7, "mailer": "a"}],
        ),
        "the field mailer has the name of a module",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_has_to_be_decided_first_is_said_and_nothing_is_planned(
    tmp_path: Path, name: str
) -> None:
    change, words = CHANGED[name]
    made = plan(case_of(changed(tmp_path, change)))
    assert made.changes == ()
    assert words in " ".join(finding.message for finding in made.missing)
    assert all(finding.hint for finding in made.missing)


def changed(
    folder: Path, change: Callable[[dict[str, Any]], Any], more: dict[str, str] | None = None
) -> Path:
    import helpers

    spec = samples.spec(BASE)
    change(spec)
    return helpers.build_tree(
        folder / "repo", {**samples.files(BASE), SPEC: json.dumps(spec), **(more or {})}
    )


def test_an_adapter_that_needs_what_nobody_has_is_said(tmp_path: Path) -> None:
    adapter = "def send(order_id, email, subject, *, idempotency_key):\n    pass\n"
    made = plan(case_of(changed(tmp_path, lambda spec: None, {"shop/mailer.py": adapter})))
    assert [finding.message for finding in made.missing] == [
        "shop.mailer:send needs subject, which the payload has not"
    ]


@pytest.mark.real
def test_an_adapter_with_a_long_name_is_laid_out_as_black_does(tmp_path: Path) -> None:
    call = "shop.services.notifications.receipts:send_the_receipt_to_the_customer"
    made = plan(case_of(changed(tmp_path, lambda spec: spec["effects"][0].update(call=call))))
    (adapter,) = [change.after for change in made.changes if change.path.endswith("receipts.py")]
    assert f'    raise NotImplementedError(\n        "{call} is still a stub"\n    )\n' in adapter


def test_an_adapter_that_takes_no_key_is_said(tmp_path: Path) -> None:
    adapter = "def send(order_id):\n    pass\n"
    made = plan(case_of(changed(tmp_path, lambda spec: None, {"shop/mailer.py": adapter})))
    assert made.changes == ()
    assert [finding.message for finding in made.missing] == [
        "shop.mailer:send takes no idempotency_key, so no key reaches the receiver"
    ]


@pytest.mark.real
@pytest.mark.parametrize("name", ["class", "run", "mailer", "send_receipt", "pytest"])
def test_an_effect_may_have_any_name(tmp_path: Path, name: str) -> None:
    made = plan(case_of(changed(tmp_path, lambda spec: spec["effects"][0].update(name=name))))
    (tests,) = [
        change.after for change in made.changes if change.path == "tests/test_send_receipt.py"
    ]
    assert f"def {name}_calls(" in tests


@pytest.mark.parametrize(
    "name", ["shop.tasks:send-receipt", "shop.tasks:class", "shop.tasks:a b", "../x:y"]
)
def test_a_name_that_is_no_identifier_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SkillrunError) as refused:
        plan(case_of(changed(tmp_path, lambda spec: spec.update(handler=name))))
    assert refused.value.exit_code in (3, 4)


def test_an_adapter_gets_the_fields_that_it_takes(tmp_path: Path) -> None:
    adapter = "def send(email, *, idempotency_key):\n    pass\n"
    made = plan(case_of(changed(tmp_path, lambda spec: None, {"shop/mailer.py": adapter})))
    (tasks,) = [change.after for change in made.changes if change.path == "shop/tasks.py"]
    assert 'mailer.send(email=email, idempotency_key=f"send-receipt:{order_id}")' in tasks


COUNTS = {
    "prometheus": (
        "from prometheus_client import Counter\n\nCARTS = Counter('carts', 'Carts.')\n",
        [
            "SEND_RECEIPT_DELIVERIES = Counter(",
            'SEND_RECEIPT_DELIVERIES.labels("succeeded").inc()',
            'SEND_RECEIPT_DELIVERIES.labels("failed for good").inc()',
        ],
    ),
    "statsd": (
        "from statsd import StatsClient\n\nstatsd = StatsClient()\n",
        ['statsd.incr("send_receipt.started")', 'statsd.incr("send_receipt.will_retry")'],
    ),
    "opentelemetry": (
        "from opentelemetry import trace\n\ntracer = trace.get_tracer(__name__)\n",
        ['trace.get_current_span().add_event("send_receipt succeeded")'],
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("library", COUNTS)
def test_outcomes_are_counted_with_what_the_repository_counts_with(
    tmp_path: Path, library: str
) -> None:
    module, lines = COUNTS[library]
    uses = (
        "from shop.stats import statsd\n\n\ndef empty():\n    statsd.incr('carts')\n"
        if library == "statsd"
        else ""
    )
    made = plan(
        case_of(
            changed(tmp_path, lambda spec: None, {"shop/stats.py": module, "shop/carts.py": uses})
        )
    )
    (tasks,) = [change.after for change in made.changes if change.path == "shop/tasks.py"]
    assert [line for line in lines if line not in tasks] == []


@pytest.mark.real
def test_a_module_of_its_own_is_loaded_by_the_worker(tmp_path: Path) -> None:
    made = plan(
        case_of(changed(tmp_path, lambda spec: spec.update(handler="shop.receipts:send_receipt")))
    )
    assert [change.path for change in made.changes if "shop/receipts.py" in change.path] == [
        "shop/receipts.py"
    ]
    (app,) = [change.after for change in made.changes if change.path == "shop/celery.py"]
    assert (
        'app = Celery(\n    "shop", broker="redis://localhost/0", include=["shop.tasks",'
        ' "shop.receipts"]\n)\n' in app
    )


@pytest.mark.real
def test_two_texts_in_a_key_cannot_be_taken_for_another_pair(tmp_path: Path) -> None:
    def two(spec: dict[str, Any]) -> None:
        spec["idempotency"]["key"] = ["email", "kind"]
        spec["payload"]["properties"] = {"email": {"type": "string"}, "kind": {"type": "string"}}
        spec["payload"].update(required=["email", "kind"], examples=[{"email": "a", "kind": "b"}])

    made = plan(case_of(changed(tmp_path, two)))
    (tasks,) = [change.after for change in made.changes if change.path == "shop/tasks.py"]
    assert 'f"send-receipt:{email!r}:{kind!r}"' in tasks


# -- the spec, and the state machine


def test_a_spec_is_completed_at_its_end_and_not_touched_before() -> None:
    parts = {"proof": {"env": {"A": "{scratch}/a.db"}, "poison": [{}]}}
    text = "# mine\nversion: 1\njob:   send   # odd\n"
    done = completed(text, "send.yaml", parts)
    assert done.startswith(text)
    assert yaml.safe_load(done)["proof"] == parts["proof"]
    assert completed(text, "send.yaml", {"message": "payload"}) == f"{text}message: payload\n"
    given = '{\n    "version": 1,\n    "job": "send"\n}\n'
    done = completed(given, "send.json", parts)
    assert json.loads(done) == {"version": 1, "job": "send", **parts}
    assert done.startswith('{\n    "version": 1,\n    "job": "send",\n    "proof": {\n')


STARTED = {
    "block": "proof:\n  env:\n    A: b   # mine\n  setup: make\n# the end\n\nretry: {}\n",
    "block, last": "retry: {}\nproof:\n  setup: make\n  env:\n    A: b",
    "flow": "proof: {env: {A: b}, setup: make}\nretry: {}\n",
    "flow over lines": "proof: {\n  env: {A: b},  # mine\n  setup: make\n}\nretry: {}\n",
    "JSON": (
        '{\n  "proof": {\n    "env": {"A": "b"},\n    "setup": "make"\n  },\n  "retry": {}\n}\n'
    ),
    "empty env": "proof: {env: {}, setup: make}\nretry: {}\n",
}


@pytest.mark.parametrize("text", STARTED.values(), ids=STARTED)
def test_a_proof_that_is_there_in_part_gets_what_it_lacks(text: str) -> None:
    more = {"env": {"DB": "{scratch}/a.db"}, "services": ["postgresql"], "poison": [{}, {"a": 0.5}]}
    name = "send.json" if text.startswith("{") else "send.yaml"
    done = completed(text, name, {"proof": more})
    before = yaml.safe_load(text)
    env = {**before["proof"]["env"], **more["env"]}
    assert yaml.safe_load(done) == {**before, "proof": {**before["proof"], **more, "env": env}}
    assert [word for word in ("# mine", "# the end") if (word in text) is not (word in done)] == []
    if name == "send.json":
        assert json.loads(done)["proof"]["env"] == env


def test_only_what_the_proof_lacks_is_added(tmp_path: Path) -> None:
    def begun(spec: dict[str, Any]) -> None:
        spec["proof"] = {"env": {"TOKEN": "x"}}

    made = plan(case_of(changed(tmp_path, begun)))
    (after,) = [change.after for change in made.changes if change.path == SPEC]
    proof = json.loads(after)["proof"]
    assert proof["env"] == {"TOKEN": "x", "SHOP_DB": "{scratch}/app.db"}
    assert {"setup", "database", "state", "dead_letters", "poison"} <= set(proof)


def test_a_spec_that_git_ignores_is_completed_all_the_same(tmp_path: Path) -> None:
    root = changed(tmp_path, lambda spec: None, {".gitignore": "*.json\n"})
    [spec] = [change for change in plan(case_of(root)).changes if change.path == SPEC]
    assert spec.before == (root / SPEC).read_text()


def test_a_proof_with_a_database_of_its_own_keeps_its_setting(tmp_path: Path) -> None:
    def own(spec: dict[str, Any]) -> None:
        spec["proof"] = {"database": "{scratch}/mine.db"}

    made = plan(case_of(changed(tmp_path, own)))
    (after,) = [change.after for change in made.changes if change.path == SPEC]
    proof = json.loads(after)["proof"]
    assert sorted(proof) == ["database", "dead_letters", "poison", "state"]
    assert proof["database"] == "{scratch}/mine.db"


SETTINGS = """
import os

SECRET_KEY = os.environ["SHOP_SECRET_KEY"]
API_TOKEN = os.environ.get("API_TOKEN")
DEBUG = os.environ["DEBUG"]
SALT = os.environ.get("SALT", "salt")


def later():
    return os.environ["LATER_KEY"]
"""


def test_secrets_that_settings_demand_have_a_harmless_value_in_the_proof(tmp_path: Path) -> None:
    made = plan(case_of(changed(tmp_path, lambda spec: None, {"config/settings.py": SETTINGS})))
    (after,) = [change.after for change in made.changes if change.path == SPEC]
    env = json.loads(after)["proof"]["env"]
    assert env == {"SHOP_SECRET_KEY": "only-for-the-proof", "SHOP_DB": "{scratch}/app.db"}


@pytest.mark.real
def test_a_publisher_elsewhere_that_is_not_there_is_refused(tmp_path: Path) -> None:
    def elsewhere(spec: dict[str, Any]) -> None:
        spec["enqueue"] = {
            "call": "shop.orders:settle",
            "args": {"order_id": 7, "email": "a@example.com"},
        }

    assert [
        finding.message for finding in plan(case_of(changed(tmp_path / "none", elsewhere))).missing
    ] == [
        "enqueue.call: shop.orders:settle is not there, and a publisher is written beside the"
        " handler alone: leave enqueue out, and call shop.tasks:enqueue_send_receipt from it"
    ]
    there = {"shop/orders.py": "def settle(order_id, email): ...\n"}
    assert plan(case_of(changed(tmp_path / "there", elsewhere, there))).missing == ()


def test_only_what_was_seen_is_marked(written: Written) -> None:
    text = written.text("shop/send-receipt.state-machine.md")
    assert "| yes |" not in text
    once = marked(text, ["start", "finish"])
    assert [
        line.split("|")[1].strip() for line in once.split("\n") if line.endswith("| yes |")
    ] == ["start", "finish"]
    assert marked(once, []) == text

"""The stage contract: every part explicit, the trigger possible, the payload plain."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import GONE, build, examine, finding, has, rules

from skillrun.core.errors import SpecInvalid
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.skills.job_worker import stages
from skillrun.skills.job_worker.readings.cron import cron_problem

BEAT = """
    from celery import Celery
    from celery.schedules import crontab

    app = Celery("shop", broker="redis://localhost", include=["shop.tasks"])
    app.conf.beat_schedule = {
        "nightly": {"task": "shop.send_receipt", "schedule": crontab(minute=30, hour=2)},
    }
    """
CRON = {"trigger": {"type": "cron", "schedule": "30 2 * * *", "timezone": "UTC"}}

BLOCKED = {
    "intent": ({"intent": GONE}, "contract.no-intent"),
    "what": ({"intent.what": GONE}, "contract.no-what"),
    "why": ({"intent.why_async": GONE}, "contract.no-why-async"),
    "trigger": ({"trigger": GONE}, "contract.no-trigger"),
    "payload": ({"payload": GONE}, "contract.no-payload"),
    "fields": ({"payload.properties": GONE}, "contract.no-fields"),
    "example": ({"payload.examples": GONE}, "contract.no-example"),
    "effects": ({"effects": GONE}, "contract.no-effects"),
    "failures": ({"failures": GONE}, "contract.no-failures"),
    "transient": ({"failures.transient": GONE}, "contract.no-transient"),
    "permanent": ({"failures.permanent": GONE}, "contract.no-permanent"),
    "delay": ({"failures.acceptable_delay": GONE}, "contract.no-acceptable-delay"),
    "guarantee": ({"effects.0.guarantee": GONE}, "contract.no-guarantee"),
    "scheduler": (CRON, "contract.no-scheduler"),
    "misspelled error": (
        {"failures.transient": ["shop.mailer:Unavailabel"]},
        "contract.no-such-error",
    ),
    "misspelled built-in": ({"failures.transient": ["TimeOutError"]}, "contract.no-such-error"),
}


@pytest.mark.parametrize(("changes", "rule"), BLOCKED.values(), ids=BLOCKED)
def test_blocks_while_something_is_missing(tmp_path, changes, rule):
    result = examine("contract", build(tmp_path / "repo", changes=changes))
    assert result.status == "blocked"
    assert rules(result) == [rule]
    found = finding(result, rule)
    assert found.path == ".skillrun/jobs/send-receipt.yaml" and found.line and found.hint
    assert [action.action for action in result.next] == ["edit-spec"]


@pytest.mark.parametrize(
    ("error", "exists"),
    [
        ("shop.models:Order.DoesNotExist", True),
        ("shop.models:Order.MultipleObjectsReturned", True),
        ("shop.models:Order.Gone", False),
        ("shop.models:Oder.DoesNotExist", False),
    ],
)
def test_a_model_of_django_has_errors_that_its_code_does_not_show(tmp_path, error, exists):
    models = {
        "shop/models.py": "from django.db import models\n\nclass Order(models.Model):\n    pass\n"
    }
    result = examine(
        "contract", build(tmp_path / "repo", models, changes={"failures.permanent": [error]})
    )
    assert ("contract.no-such-error" in rules(result)) is not exists


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
def test_a_weak_guarantee_without_a_reason_is_refused(tmp_path, guarantee):
    with pytest.raises(SpecInvalid, match=r"effects\.0\.reason: is missing"):
        build(tmp_path / "repo", changes={"effects.0.guarantee": guarantee})


FAILED = {
    "payload is no object": (
        {"payload": {"type": "array", "examples": [[1]]}},
        "contract.payload-not-object",
    ),
    "error in both": ({"failures.permanent": ["TimeoutError"]}, "contract.error-in-both"),
}


@pytest.mark.parametrize(("changes", "rule"), FAILED.values(), ids=FAILED)
def test_fails_where_the_spec_contradicts_itself(tmp_path, changes, rule):
    result = examine("contract", build(tmp_path / "repo", changes=changes))
    assert (result.status, rules(result)) == ("failed", [rule])


def test_no_spec_at_all_names_the_jobs_and_proposes_to_draft_one(tmp_path):
    """Neighbour: where no job is read, the fields are asked for."""
    case = build(tmp_path / "repo")
    case.spec = None
    result = examine("contract", case)
    assert rules(result) == ["contract.no-spec"]
    assert "shop.tasks:send_receipt" in result.findings[0].message
    assert result.next[0].detail == "skillrun spec init --from shop.tasks:send_receipt"
    case = build(tmp_path / "other", files={"shop/tasks.py": ""})
    case.spec = None
    result = examine("contract", case)
    assert rules(result) == ["contract.no-spec"]
    assert result.next[0].detail.startswith("skillrun spec init --set job=")


PASSED = {
    "no effects, said": {"effects": []},
    "no errors, said": {"failures.transient": [], "failures.permanent": []},
    "a reason": {
        "effects.0.guarantee": "at_least_once",
        "effects.0.reason": "a second mail does no harm",
    },
    "poller": {"trigger": {"type": "poller", "every": "5m"}},
    "error of a library": {"failures.transient": ["requests:ConnectionError", "OSError"]},
}


@pytest.mark.parametrize("changes", PASSED.values(), ids=PASSED)
def test_passes_what_is_said(tmp_path, changes):
    assert examine("contract", build(tmp_path / "repo", changes=changes)).status == "passed"


def test_an_error_that_is_imported_or_assigned_exists(tmp_path):
    files = {
        "shop/errors.py": (
            "from shop.mailer import Unavailable as Down\nLost = type('Lost', (Exception,), {})\n"
        ),
        "shop/stars.py": "from somewhere import *\n",
    }
    names = ["shop.errors:Down", "shop.errors:Lost", "shop.stars:Anything"]
    case = build(tmp_path / "repo", files, {"failures.permanent": names})
    assert rules(examine("contract", case)) == []


def test_cron_with_a_scheduler_passes(tmp_path):
    result = examine("contract", build(tmp_path / "repo", {"shop/celery.py": BEAT}, CRON))
    assert rules(result) == []
    assert not has(result, "contract.no-timezone")


def test_cron_without_a_time_zone_is_said(tmp_path):
    changes = {"trigger": {"type": "cron", "schedule": "30 2 * * *"}}
    result = examine("contract", build(tmp_path / "repo", {"shop/celery.py": BEAT}, changes))
    assert finding(result, "contract.no-timezone").severity == "note"


def test_a_bad_schedule_says_which_field(tmp_path):
    changes = {"trigger": {"type": "cron", "schedule": "61 2 * * *", "timezone": "UTC"}}
    result = examine("contract", build(tmp_path / "repo", {"shop/celery.py": BEAT}, changes))
    assert "'61' is no minute" in finding(result, "contract.bad-schedule").message


@pytest.mark.parametrize(
    "text",
    [
        "30 2 * * *",
        "*/5 * * * *",
        "0 9-17/2 * * mon-fri",
        "0 0 1,15 jan ?",
        "0 0 L * *",
        "0 0 * * 5L",
        "@daily",
        "0 0 * * 7",
    ],
)
def test_cron_finds_nothing_wrong(text):
    assert cron_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every day",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "*/0 * * * *",
        "a b c d e",
    ],
)
def test_cron_finds(text):
    assert cron_problem(text)


def test_rules_of_the_framework_reach_their_stage(tmp_path):
    """A rule whose stage does not ask for it would be silent."""
    folder = Path(next(iter(stages.__path__)))
    for rule in (rule for framework in FRAMEWORKS.values() for rule in framework.list_rules()):
        source = (folder / f"{rule.stage.replace('-', '_')}.py").read_text()
        assert "case.rule_findings(ID)" in source, rule.id


def test_pickled_messages_fail_the_contract(tmp_path):
    files = {"shop/tasks.py": PICKLED}
    result = examine("contract", build(tmp_path / "repo", files))
    assert has(result, "celery.pickle-serializer")


PICKLED = """
    from shop.celery import app

    @app.task(bind=True, name="shop.send_receipt", serializer="pickle")
    def send_receipt(self, order_id, email): ...
    """

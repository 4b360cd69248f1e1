"""The stages retry and dead-letter: what the code does against what the spec says."""

from __future__ import annotations

import pytest
from cases import GONE, build, examine, finding, has, rules

TASK = """
    from shop import dead_jobs, mailer
    from shop.celery import app

    @app.task(bind=True, name="shop.send_receipt", {options})
    def send_receipt(self, order_id, email):
        mailer.send(order_id, email, idempotency_key=f"r-{{order_id}}")
    """
AUTO = (
    "autoretry_for=(mailer.Unavailable, TimeoutError), max_retries=4, retry_backoff=2,"
    " retry_backoff_max=60, retry_jitter=False"
)
NONE = {"retry": {"kind": "none", "reason": "a second mail does harm"}}


def retry(root, options=AUTO, changes=None):
    return examine("retry", build(root, {"shop/tasks.py": TASK.format(options=options)}, changes))


def test_code_and_spec_agree(tmp_path):
    result = retry(tmp_path / "repo")
    assert (result.status, result.grade, result.facts) == (
        "passed",
        "static",
        {"retries": "bounded"},
    )


def test_undefined_blocks_and_proposes_none(tmp_path):
    result = retry(tmp_path / "repo", changes={"retry": GONE})
    assert rules(result) == ["retry.undefined"]
    assert "retry: {kind: none, reason: ...}" in result.next[0].detail


DIFFERS = {
    "attempts": (
        AUTO.replace("max_retries=4", "max_retries=6"),
        "retry.max-attempts-differs",
        "tries 7 times",
    ),
    "unbounded": (
        AUTO.replace("max_retries=4", "max_retries=None"),
        "retry.max-attempts-differs",
        "tries for ever",
    ),
    "no retry": ("max_retries=4", "retry.max-attempts-differs", "tries once"),
    "base": (
        AUTO.replace("retry_backoff=2", "retry_backoff=5"),
        "retry.backoff-differs",
        "the code has 5s",
    ),
    "cap": (AUTO.replace("max=60", "max=600"), "retry.backoff-differs", "the code has 10m"),
    "jitter": (
        AUTO.replace("jitter=False", "jitter=True"),
        "retry.backoff-differs",
        "the code has it",
    ),
    "kind": (
        "autoretry_for=(mailer.Unavailable, TimeoutError), max_retries=4, default_retry_delay=2",
        "retry.backoff-differs",
        "the code has fixed backoff",
    ),
}


@pytest.mark.parametrize(("options", "rule", "words"), DIFFERS.values(), ids=DIFFERS)
def test_each_difference_is_found_with_its_place(tmp_path, options, rule, words):
    result = retry(tmp_path / "repo", options)
    found = finding(result, rule)
    assert result.status == "failed" and words in found.message
    assert found.path == "shop/tasks.py" or rule == "retry.max-attempts-differs"


def test_what_rests_on_a_default_is_shown_at_the_decorator_and_not_at_the_broker(tmp_path):
    broker = """
        from celery import Celery

        app = Celery("shop", broker="redis://localhost:6379/0", include=["shop.tasks"])
        app.conf.broker_transport_options = {"visibility_timeout": 7200}
        """
    text = TASK.format(options=AUTO.replace("max_retries=4, ", ""))
    result = examine(
        "retry", build(tmp_path / "a", {"shop/tasks.py": text, "shop/celery.py": broker})
    )
    found = finding(result, "retry.max-attempts-differs")
    assert (found.path, found.line) == ("shop/tasks.py", 4)
    text = TASK.format(options=AUTO.replace("max_retries=4", "\n        max_retries=6"))
    result = examine(
        "retry", build(tmp_path / "b", {"shop/tasks.py": text, "shop/celery.py": broker})
    )
    assert finding(result, "retry.max-attempts-differs").line == 5


def test_an_unbounded_retry_is_found_by_the_framework_too(tmp_path):
    result = retry(tmp_path / "repo", AUTO.replace("max_retries=4", "max_retries=None"))
    assert has(result, "celery.retry-unbounded")


RAISED = """
    import requests

    from shop import dead_jobs, mailer
    from shop.celery import app

    @app.task(bind=True, name="shop.send_receipt", max_retries={retries})
    def send_receipt(self, order_id, email):
        try:
            mailer.send(order_id, email, idempotency_key=f"r-{{order_id}}")
        except (mailer.Unavailable, TimeoutError) as error:
            {raised}
    """
ITS_OWN = "raise self.retry(exc=error, countdown=min(2 * 2**self.request.retries, 60))"


@pytest.mark.parametrize("way", [ITS_OWN, ITS_OWN.removeprefix("raise ")])
def test_a_retry_that_the_task_asks_for_is_read(tmp_path, way):
    """Celery's commonest form: the library's own call is no call that nobody understands."""
    texts = [RAISED.format(retries=number, raised=way) for number in (4, 6)]
    same, other = [
        examine("retry", build(tmp_path / str(number), {"shop/tasks.py": text}))
        for number, text in enumerate(texts)
    ]
    assert "retry.max-attempts-differs" not in rules(same)
    assert "tries 7 times" in finding(other, "retry.max-attempts-differs").message


def test_a_retry_that_an_installed_package_may_ask_for_is_not_read(tmp_path):
    text = RAISED.format(retries=6, raised="raise requests.try_again(self)")
    assert "retry.max-attempts-differs" not in rules(
        examine("retry", build(tmp_path / "repo", {"shop/tasks.py": text}))
    )


def test_a_fixed_backoff_has_no_factor(tmp_path):
    changes = {"retry.backoff": {"kind": "fixed", "base": "2s"}}
    options = (
        "autoretry_for=(mailer.Unavailable, TimeoutError), max_retries=4, default_retry_delay=2"
    )
    assert "retry.backoff-differs" not in rules(retry(tmp_path / "repo", options, changes))


SPEC = {
    "too slow": ({"failures.acceptable_delay": "10s"}, "retry.too-slow"),
    "no cap": (
        {"retry.backoff.cap": GONE, "failures.acceptable_delay": GONE},
        "retry.no-cap",
    ),
}


@pytest.mark.parametrize(("changes", "rule"), SPEC.values(), ids=SPEC)
def test_an_unsafe_policy_fails_and_proposes_none(tmp_path, changes, rule):
    result = retry(tmp_path / "repo", changes=changes)
    assert rule in rules(result) and result.status == "failed"
    assert any("write retry: {kind: none" in action.detail for action in result.next)


def test_the_waits_of_the_code_must_fit_too(tmp_path):
    options = (
        "autoretry_for=(mailer.Unavailable, TimeoutError), max_retries=4, default_retry_delay=600"
    )
    result = retry(tmp_path / "repo", options, {"retry": {"max_attempts": 5}})
    assert "the code waits 40m in all" in finding(result, "retry.too-slow").message


# Which errors

ERRORS = {
    "permanent itself": (
        AUTO.replace("TimeoutError", "TimeoutError, mailer.BadAddress"),
        "celery.permanent-retried",
    ),
    "everything": (
        AUTO.replace("mailer.Unavailable, TimeoutError", "Exception"),
        "celery.permanent-retried",
    ),
    "transient left out": (AUTO.replace(", TimeoutError", ","), "retry.transient-not-retried"),
}


@pytest.mark.parametrize(("options", "rule"), ERRORS.values(), ids=ERRORS)
def test_errors_in_the_wrong_place_are_found(tmp_path, options, rule):
    assert rule in rules(retry(tmp_path / "repo", options))


def test_a_base_class_covers(tmp_path):
    options = AUTO.replace("TimeoutError", "OSError")
    assert rules(retry(tmp_path / "repo", options)) == []


def test_a_derived_class_does_not_cover_its_base(tmp_path):
    options = AUTO.replace("TimeoutError", "ConnectionError")
    changes = {"failures.transient": ["shop.mailer:Unavailable", "OSError"]}
    assert "retry.transient-not-retried" in rules(retry(tmp_path / "repo", options, changes))


# None


def test_none_passes_when_the_code_agrees(tmp_path):
    result = retry(tmp_path / "a", "acks_late=False", NONE)
    assert (result.status, result.facts) == ("passed", {"retries": "none"})
    assert "retry.max-attempts-differs" in rules(retry(tmp_path / "b", AUTO, NONE))


def test_none_needs_a_reason(tmp_path):
    assert "retry.no-reason" in rules(
        retry(tmp_path / "repo", "acks_late=False", {"retry": "none"})
    )


def test_none_is_contradicted_by_a_retry_whose_limit_was_not_read(tmp_path):
    result = retry(tmp_path / "repo", "autoretry_for=(OSError,), max_retries=limit()", NONE)
    assert "tries again" in finding(result, "retry.max-attempts-differs").message


def test_what_cannot_be_read_is_a_note_and_lowers_the_grade(tmp_path):
    result = retry(tmp_path / "repo", AUTO.replace("max_retries=4", "max_retries=limit()"))
    found = finding(result, "retry.unread")
    assert (found.severity, found.path, result.grade) == ("note", "shop/tasks.py", "declared")
    assert "retry.max-attempts-differs" not in rules(result)


# Dead letters

KEPT = """
    from celery import Task
    from shop import dead_jobs, mailer
    from shop.celery import app

    class Kept(Task):
        def on_failure(self, exc, task_id, args, kwargs, einfo):
            {on_failure}

    @app.task(bind=True, base=Kept, name="shop.send_receipt", {options})
    def send_receipt(self, order_id, email):
        mailer.send(order_id, email, idempotency_key=f"r-{{order_id}}")
    """


def dead(root, changes=None, on_failure="dead_jobs.record(kwargs, repr(exc))", options=AUTO):
    text = KEPT.format(on_failure=on_failure, options=options)
    return examine("dead-letter", build(root, {"shop/tasks.py": text}, changes))


def test_a_record_after_the_last_attempt_passes_with_its_place(tmp_path):
    result = dead(tmp_path / "repo")
    assert (result.status, result.grade) == ("passed", "static")
    assert result.evidence[0].path == "shop/tasks.py" and result.evidence[0].line


@pytest.mark.parametrize(
    "on_failure", ["pass", "print(exc)", "super().on_failure(exc, task_id, args, kwargs, einfo)"]
)
def test_what_leaves_no_record_blocks(tmp_path, on_failure):
    result = dead(tmp_path / "repo", on_failure=on_failure)
    assert rules(result) == ["dead-letter.not-written"]
    assert finding(result, "dead-letter.not-written").path == "shop/tasks.py"


RECORDS = {
    "it only logs": ("log.info('lost %s', payload)", True),
    "a row that is built and never stored": ("DeadJob(payload, reason)", True),
    "a transaction with nothing in it": (
        "with db.begin() as session:\n        log.info('lost')",
        True,
    ),
    "a row that is added": (
        "with db.begin() as session:\n        session.add(DeadJob(payload, reason))",
        False,
    ),
    "a row that saves itself": ("DeadJob(payload, reason).save()", False),
    "another function that stores": ("keep(payload)", False),
    "a function of somebody else": ("library.park(payload)", False),
}


@pytest.mark.parametrize(("body", "blocks"), RECORDS.values(), ids=RECORDS)
def test_the_record_is_followed_into_the_function_that_should_write_it(tmp_path, body, blocks):
    module = (
        "class DeadJob: ...\n\ndef keep(x):\n    db.insert(x)\n\ndef record(payload, reason):\n   "
        f" {body}\n"
    )
    text = KEPT.format(on_failure="dead_jobs.record(kwargs, repr(exc))", options=AUTO)
    case = build(tmp_path / "repo", {"shop/tasks.py": text, "shop/dead_jobs.py": module})
    assert rules(examine("dead-letter", case)) == (["dead-letter.not-written"] if blocks else [])


SAID = {
    "undefined": ({"dead_letter": GONE}, "dead-letter.undefined", "blocked"),
    "none without a reason": ({"dead_letter": "none"}, "dead-letter.no-reason", "blocked"),
    "of the framework": (
        {"dead_letter": {"kind": "framework"}},
        "dead-letter.framework-has-none",
        "failed",
    ),
}


@pytest.mark.parametrize(("changes", "rule", "status"), SAID.values(), ids=SAID)
def test_what_the_spec_must_say(tmp_path, changes, rule, status):
    result = dead(tmp_path / "repo", changes)
    assert (rules(result), result.status) == ([rule], status)
    assert finding(result, rule).line


def test_none_with_a_reason_is_not_applicable(tmp_path):
    changes = {"dead_letter": {"kind": "none", "reason": "the next poll finds it again"}}
    result = dead(tmp_path / "repo", changes, on_failure="pass")
    assert (result.status, rules(result)) == ("not_applicable", [])


def test_a_place_that_nothing_names_is_said(tmp_path):
    result = dead(tmp_path / "repo", {"dead_letter.where": "quarantine"})
    assert finding(result, "dead-letter.unknown-place").severity == "warning"


def test_the_table_that_django_derives_from_a_model_is_known(tmp_path):
    text = KEPT.format(on_failure="Lost.objects.create(why=repr(exc))", options=AUTO)
    models = (
        "from django.db import models\nclass Lost(models.Model):\n    why = models.TextField()\n"
    )
    files = {"shop/tasks.py": text, "shop/models.py": models}
    known = examine("dead-letter", build(tmp_path / "a", files, {"dead_letter.where": "shop_lost"}))
    assert not has(known, "dead-letter.unknown-place")
    other = examine(
        "dead-letter", build(tmp_path / "b", files, {"dead_letter.where": "shop_other"})
    )
    assert has(other, "dead-letter.unknown-place")


def test_a_table_is_no_other_model_that_its_name_ends_in(tmp_path):
    text = KEPT.format(on_failure="Lost.objects.create(why=repr(exc))", options=AUTO)
    models = (
        "from django.db import models\nclass Lost(models.Model):\n    why = models.TextField()\n"
    )
    files = {"shop/tasks.py": text, "shop/models.py": models}
    with_app = examine(
        "dead-letter", build(tmp_path / "a", files, {"dead_letter.where": "shop_losts"})
    )
    assert not has(with_app, "dead-letter.unknown-place")
    other = examine(
        "dead-letter", build(tmp_path / "b", files, {"dead_letter.where": "notified_lost"})
    )
    assert has(other, "dead-letter.unknown-place")


@pytest.mark.parametrize("stage", ["retry", "dead-letter"])
def test_it_blocks_while_there_is_no_handler_to_compare_with(tmp_path, stage):
    result = examine(stage, build(tmp_path / "repo", changes={"handler": "shop.tasks:nothing"}))
    assert (result.status, rules(result)) == ("blocked", [f"{stage}.no-handler"])

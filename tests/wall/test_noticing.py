"""What HEAD's tests notice less than the base's, with real runs of both."""

from __future__ import annotations

from pathlib import Path

import pytest
from looks import diff
from noticing_shop import CONFTEST, FILES, TASKS, TESTS, WORKER, compare, replaced

from skillrun.wall.noticing import compare as comparing
from skillrun.wall.noticing.places import find_places

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of the shop is compared does not depend on who else uses this machine."""
    monkeypatch.setattr(comparing, "_ENOUGH_S", 900.0)


SUITE = "tests/test_shop.py"
TWICE = '        send_receipt(7, "a@b")\n        send_receipt(7, "a@b")\n'
ATTACKS = {
    "delivers once": replaced(SUITE, (TWICE, '        send_receipt(7, "a@b")\n')),
    "writes the log itself": replaced(
        SUITE,
        (
            '            send_receipt(7, "a@b")\n            send_receipt(8, "nobody")\n',
            '            logging.info("sent order_id=7")\n            logging.info("dead order_id=8")\n',
        ),
    ),
    "a fake of the adapter": {
        **replaced(
            SUITE, ("from shop import mailer, queue", "from shop import fakes as mailer, queue")
        ),
        "shop/fakes.py": """
            from shop import mailer


            def send(email, *, idempotency_key):
                mailer.post("", {"to": email}, {"Idempotency-Key": idempotency_key})
            """,
    },
    "any rows will do": replaced(
        SUITE,
        ('assert shop("dead") == [(7,)]', 'assert shop("dead") in ([], [(7,)])'),
    ),
    "a fixture that does the work": {
        "tests/conftest.py": CONFTEST.replace(
            'return lambda table: marks.run(f"select * from {table}")',
            'marks.bury(7)\n        return lambda table: marks.run(f"select * from {table}")',
        )
    },
}
HONEST = {
    "a helper": replaced(
        SUITE,
        (TWICE, "        deliver(2)\n"),
        (
            "    KEY =",
            "    def deliver(times):\n        for _ in range(times):\n"
            '            send_receipt(7, "a@b")\n\n\n    KEY =',
        ),
    ),
    "parametrised": replaced(
        SUITE,
        (
            "    def test_redelivery(shop, posted):\n"
            + TWICE
            + "        assert len(posted) == 1\n",
            '    @pytest.mark.parametrize("times", [2, 3])\n    def test_redelivery(shop, posted, times):\n'
            '        for _ in range(times):\n            send_receipt(7, "a@b")\n'
            "        assert len(posted) == 1\n",
        ),
    ),
    "another file": {SUITE: None, "tests/test_orders.py": TESTS},
    "other names and one more": replaced(
        SUITE,
        ("test_happy", "test_sends"),
        (
            "    def test_log(",
            '    def test_two(shop, posted):\n        send_receipt(1, "a@b")\n'
            '        send_receipt(2, "a@b")\n        assert len(posted) == 2\n\n\n    def test_log(',
        ),
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_test_that_notices_less_is_an_error(tmp_path: Path, name: str) -> None:
    found = compare(tmp_path / "repo", ATTACKS[name])
    assert {(one.rule, str(one.severity)) for one in found} == {
        ("verify.tests-notice-less", "error")
    }


@pytest.mark.parametrize("name", HONEST)
def test_tests_that_are_written_otherwise_are_none(tmp_path: Path, name: str) -> None:
    assert compare(tmp_path / "repo", HONEST[name]) == []


EAGER = """

    @pytest.fixture(autouse=True)
    def eager(monkeypatch):
        from shop import queue

        monkeypatch.setattr(mailer, "post", lambda url, body, headers: None)
        monkeypatch.setattr(queue, "start", queue.work)
    """


def test_a_worker_that_is_none_any_more_is_an_error(tmp_path: Path) -> None:
    """The test passes as before, and no process takes a message."""
    base = {**FILES, SUITE: TESTS + WORKER}
    found = compare(tmp_path / "repo", {"tests/conftest.py": CONFTEST + EAGER}, base)
    (said,) = [one.message for one in found if one.severity == "error"]
    assert "test_worker" in said
    assert "a worker of its own in which send_receipt does nothing" in said


def test_where_only_the_application_changes_nothing_is_run(tmp_path: Path) -> None:
    changes = replaced("shop/tasks.py", ('"known"', '"done before"'))
    assert compare(tmp_path / "repo", changes) == []


def test_the_finding_names_the_break_and_the_tests(tmp_path: Path) -> None:
    (found,) = compare(tmp_path / "repo", ATTACKS["delivers once"])
    assert "tests/test_shop.py::test_redelivery" in found.message
    assert "`marks.was_sent(order_id)` never true" in found.message
    # The place is that of the first break which is noticed no more, by path and line.
    assert (found.path, bool(found.line)) == ("shop/marks.py", True)


def test_tests_that_do_not_run_on_the_new_code_are_asked_about_the_old(tmp_path: Path) -> None:
    """The branch gives a function of the code another name, and the tests less to do."""
    changes = {
        **replaced("shop/mailer.py", ("post(", "deliver(")),
        **replaced("shop/queue.py", ("mailer.post", "mailer.deliver")),
        **replaced("tests/conftest.py", ('"post"', '"deliver"')),
        **replaced(SUITE, (TWICE, '        send_receipt(7, "a@b")\n')),
    }
    found = compare(tmp_path / "repo", changes)
    assert [one.rule for one in found if one.severity == "error"] == ["verify.tests-notice-less"]


@pytest.mark.parametrize(
    ("bound", "value", "words"),
    (
        ("_MOST_BREAKS", 3, "at most 3 are tried"),
        ("_ENOUGH_S", -1.0, "within -1 s"),
    ),
)
def test_what_the_bounds_leave_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: float, words: str
) -> None:
    """A break that was never tried is none that the tests of both sides notice alike."""
    monkeypatch.setattr(comparing, bound, value)
    found = compare(tmp_path / "repo", HONEST["other names and one more"])
    (said,) = [one for one in found if "places where the code can be broken" in one.message]
    assert (said.rule, str(said.severity)) == ("verify.tests-not-compared", "note")
    assert words in said.message
    assert "left out are some of" in said.message


JOBS = """
    def job(*, max_retries):
        def register(function):
            def run(*arguments):
                for attempt in range(run.max_retries + 1):
                    try:
                        return function(*arguments)
                    except ConnectionError:
                        pass
                return "gave up"

            run.max_retries = max_retries
            return run

        return register
    """
OUTAGE = """

    def test_outage(shop, monkeypatch):
        calls = []

        def fail(*given):
            calls.append(given)
            raise ConnectionError

        monkeypatch.setattr(mailer, "post", fail)
        assert send_receipt(7, "a@b") == "gave up"
        assert len(calls) == 5
    """
OPTIONS: dict[str, dict[str, str]] = {
    "asks the job what to expect": {
        SUITE: TESTS + OUTAGE.replace("== 5", "== send_receipt.max_retries + 1")
    },
    "sets what it expects": {
        "tests/conftest.py": CONFTEST
        + """

    @pytest.fixture(autouse=True)
    def same_everywhere(monkeypatch):
        from shop.tasks import send_receipt

        monkeypatch.setattr(send_receipt, "max_retries", 4)
    """
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_tests_that_no_longer_notice_an_option_are_an_error(tmp_path: Path, name: str) -> None:
    """A decorator's argument is read when the module is imported, before any test runs."""
    registered = TASKS.replace(
        "    def send_receipt", "    @job(max_retries=4)\n    def send_receipt"
    ).replace("    import logging\n", "    import logging\n\n    from shop.jobs import job\n")
    base = {**FILES, "shop/jobs.py": JOBS, "shop/tasks.py": registered, SUITE: TESTS + OUTAGE}
    found = compare(tmp_path / "repo", OPTIONS[name], base)
    (said,) = [one for one in found if one.severity == "error"]
    assert said.rule == "verify.tests-notice-less"
    assert "`max_retries=4` another setting" in said.message
    assert "test_outage" in said.message


def test_the_keys_of_the_effects_are_broken_first() -> None:
    """Not all breaks can be tried, and this is what a receiver tells one job from another by."""
    sides = diff(FILES, {**FILES, "README.md": "words"})
    first = find_places(sides.specs, sides.after, is_new=True).sites[1]
    assert first.words.startswith('send_receipt with `f"receipt-{order_id}"` another value')


OUTAGES = """

    class Provider:
        def __init__(self):
            self.keys = []

        def send(self, email, *, idempotency_key):
            self.keys.append(idempotency_key)
            if len(self.keys) == 1:
                raise ConnectionError


    def test_the_key_outlives_a_failure(shop, monkeypatch):
        provider = Provider()
        monkeypatch.setattr(mailer, "send", provider.send)
        with pytest.raises(ConnectionError):
            send_receipt(7, "a@b")
        send_receipt(7, "a@b")
        assert provider.keys[0] == provider.keys[1]
    """


@pytest.mark.parametrize(
    "weaker",
    (
        OUTAGES.replace("append(idempotency_key)", 'append(f"to-{email}")'),
        OUTAGES.replace("idempotency_key)", "idempotency_key=None)").replace(
            "append(idempotency_key=None)", "append(None)"
        ),
        # It no longer comes by a second time.
        OUTAGES.replace('        send_receipt(7, "a@b")\n        assert', "        assert").replace(
            "provider.keys[1]", "'receipt-7'"
        ),
    ),
)
def test_a_fake_that_looks_at_no_key_is_an_error(tmp_path: Path, weaker: str) -> None:
    """A key that is the same wrong one each time is the same; a receiver needs the same one twice."""
    assert weaker != OUTAGES
    base = {**FILES, SUITE: TESTS + OUTAGES}
    found = compare(tmp_path / "repo", {SUITE: TESTS + weaker}, base)
    (said,) = [one for one in found if one.severity == "error"]
    assert said.rule == "verify.tests-notice-less"
    assert "another value at the next call" in said.message
    assert "test_the_key_outlives_a_failure" in said.message


def test_a_fake_that_is_written_otherwise_is_none(tmp_path: Path) -> None:
    base = {**FILES, SUITE: TESTS + OUTAGES}
    same = OUTAGES.replace("self.keys = []", "self.keys: list[str] = []").replace("[0]", "[-2]")
    assert compare(tmp_path / "repo", {SUITE: TESTS + same}, base) == []

"""The stage tests: which tests count as covering what."""

from __future__ import annotations

import textwrap

import pytest
from cases import GONE, build, examine, finding

HEAD = "import pytest\nfrom shop import mailer, tasks\nfrom shop.tasks import send_receipt\n\n"
HAPPY = "def test_happy(outbox):\n    send_receipt(7, 'a')\n    assert outbox == ['r-7']\n"


def covered(root, code, changes=None, **files):
    every = {"tests/test_tasks.py": HEAD + textwrap.dedent(code)}
    every |= {
        path.replace("__", "/") + ".py": textwrap.dedent(text) for path, text in files.items()
    }
    result = examine("tests", build(root, every, changes))
    return (
        {kind for kind, places in result.facts["covered"].items() if places}
        if "covered" in result.facts
        else None
    )


COUNTS = {
    "function": (HAPPY, {"happy"}),
    "class": (
        (
            "class TestIt:\n    def test_happy(self, outbox):\n        send_receipt(7, 'a')\n      "
            "  assert outbox\n"
        ),
        {"happy"},
    ),
    "unittest": (
        (
            "import unittest\nclass Sending(unittest.TestCase):\n    def test_it(self):\n       "
            " send_receipt(7, 'a')\n        self.assertEqual(1, 1)\n"
        ),
        {"happy"},
    ),
    "async": (
        "async def test_it(outbox):\n    await send_receipt(7, 'a')\n    assert outbox\n",
        {"happy"},
    ),
    "module attribute": (
        "def test_it(outbox):\n    tasks.send_receipt(7, 'a')\n    assert outbox\n",
        {"happy"},
    ),
    "eager": (
        "def test_it(outbox):\n    send_receipt.apply(args=(7, 'a')).get()\n    assert outbox\n",
        {"happy"},
    ),
    "alias": (
        (
            "from shop.tasks import send_receipt as job\ndef test_it(outbox):\n    job(7, 'a')\n   "
            " assert outbox\n"
        ),
        {"happy"},
    ),
    "handed on": (
        "def test_it(run, outbox):\n    run(send_receipt, 7)\n    assert outbox\n",
        {"happy"},
    ),
    "by name": (
        "def test_it(app, outbox):\n    app.send_task('shop.send_receipt')\n    assert outbox\n",
        {"happy"},
    ),
    "enqueuer": (
        (
            "from shop import orders\ndef test_it(outbox):\n    orders.settle(7, 'a')\n    assert"
            " outbox\n"
        ),
        {"happy"},
    ),
    "helper": (
        (
            "def run():\n    return send_receipt.apply(args=(7, 'a'))\ndef test_it(outbox):\n   "
            " run()\n    assert outbox\n"
        ),
        {"happy"},
    ),
    "fixture": (
        (
            "@pytest.fixture(name='sent')\ndef _sent(outbox):\n    send_receipt(7, 'a')\n    return"
            " outbox\ndef test_it(sent):\n    assert sent\n"
        ),
        {"happy"},
    ),
    "retryable": (
        (
            "def test_it(mail, outbox):\n    mail.failures = [mailer.Unavailable()]\n   "
            " send_receipt.apply()\n    assert outbox\n"
        ),
        {"retryable"},
    ),
    "retryable built-in": (
        (
            "def test_it(mail, outbox):\n    mail.failures = [TimeoutError()]\n   "
            " send_receipt.apply()\n    assert outbox\n"
        ),
        {"retryable"},
    ),
    "retry is raised": (
        (
            "from celery.exceptions import Retry\ndef test_it(mail):\n    with"
            " pytest.raises(Retry):\n        send_receipt(7, 'a')\n"
        ),
        {"retryable"},
    ),
    "retry is mocked": (
        (
            "from unittest import mock\ndef test_it(mail):\n    mail.failures ="
            " [mailer.Unavailable()]\n    with mock.patch.object(send_receipt, 'retry') as retry:\n"
            "        send_receipt(7, 'a')\n    retry.assert_called_once()\n"
        ),
        {"retryable"},
    ),
    "retryable without dead letters": (
        (
            "def test_it(mail, dead_jobs):\n    mail.failures = [mailer.Unavailable()]\n   "
            " send_receipt.apply()\n    assert dead_jobs == []\n"
        ),
        {"retryable"},
    ),
    "retryable with dead letters counted": (
        (
            "def test_it(mail, rows):\n    mail.failures = [mailer.Unavailable()]\n   "
            " send_receipt.apply()\n    assert rows('select count(*) from dead_jobs') == [(0,)]\n"
        ),
        {"retryable"},
    ),
    "terminal": (
        (
            "def test_it(mail, outbox):\n    mail.failures = [mailer.BadAddress()]\n   "
            " send_receipt.apply()\n    assert not outbox\n"
        ),
        {"terminal"},
    ),
    "exhausted": (
        (
            "def test_it(mail, dead_jobs):\n    mail.failures = [mailer.Unavailable()] * 9\n   "
            " send_receipt.apply()\n    assert len(dead_jobs) == 1\n"
        ),
        {"terminal"},
    ),
    "parametrized": (
        (
            "@pytest.mark.parametrize('error', [mailer.Unavailable, mailer.BadAddress])\ndef"
            " test_it(mail, error, outbox):\n    mail.failures = [error()]\n   "
            " send_receipt.apply()\n    assert outbox\n"
        ),
        {"retryable", "terminal"},
    ),
    "happy without dead letters": (
        (
            "def test_it(outbox, dead_jobs):\n    send_receipt(7, 'a')\n    assert outbox\n   "
            " assert dead_jobs == []\n"
        ),
        {"happy"},
    ),
}


@pytest.mark.parametrize(("code", "kinds"), COUNTS.values(), ids=COUNTS)
def test_counts(tmp_path, code, kinds):
    assert covered(tmp_path / "repo", code) == kinds


COUNTS_NOT = {
    "only imported": "def test_it():\n    assert 1 + 1 == 2\n",
    "only in a comment": (
        "def test_it(outbox):\n    # send_receipt(7, 'a')\n    assert outbox == []\n"
    ),
    "only in the docstring": (
        "def test_it(outbox):\n    'send_receipt(7) works'\n    assert outbox == []\n"
    ),
    "only an attribute": "def test_it():\n    assert send_receipt.max_retries == 4\n",
    "only a text": "def test_it(log):\n    assert log == 'send_receipt'\n",
    "no assertion": "def test_it():\n    send_receipt(7, 'a')\n",
    "constant assertion": "def test_it():\n    send_receipt(7, 'a')\n    assert True\n",
    "skipped": "@pytest.mark.skip\n" + HAPPY,
    "skipped with a reason": "@pytest.mark.skip(reason='later')\n" + HAPPY,
    "expected to fail": "@pytest.mark.xfail\n" + HAPPY,
    "skipped module": "pytestmark = pytest.mark.skip('later')\n" + HAPPY,
    "skipped module among marks": (
        "pytestmark = [pytest.mark.django_db, pytest.mark.skip]\n" + HAPPY
    ),
    "skipped class": (
        "@pytest.mark.skip\nclass TestIt:\n"
        + textwrap.indent(HAPPY.replace("(outbox", "(self, outbox"), "    ")
    ),
    "skips itself": (
        "def test_it(outbox):\n    pytest.skip('later')\n    send_receipt(7, 'a')\n    assert"
        " outbox\n"
    ),
    "not collected": "def check_happy(outbox):\n    send_receipt(7, 'a')\n    assert outbox\n",
    "not collected class": (
        "class Helper:\n    def test_it(self, outbox):\n        send_receipt(7)\n        assert"
        " outbox\n"
    ),
    "a word that only contains it": "def test_it(x):\n    x.send_receipt_page(7)\n    assert x\n",
}


@pytest.mark.parametrize("code", COUNTS_NOT.values(), ids=COUNTS_NOT)
def test_does_not_count(tmp_path, code):
    assert covered(tmp_path / "repo", code) == set()


def test_deadline_is_no_dead_letter(tmp_path):
    code = (
        "def test_it(deadline, outbox):\n    send_receipt(7, 'a')\n    assert outbox < deadline\n"
    )
    assert covered(tmp_path / "repo", code) == {"happy"}


def test_conditionally_skipped_tests_count(tmp_path):
    assert covered(tmp_path / "repo", "@pytest.mark.skipif('not redis')\n" + HAPPY) == {"happy"}


def test_fixtures_of_conftest_are_followed(tmp_path):
    conftest = """
        import pytest
        from shop import mailer, tasks

        @pytest.fixture
        def sent(outbox):
            tasks.send_receipt(7, "a")
            return outbox

        @pytest.fixture
        def broken(mail):
            mail.failures = [mailer.BadAddress("x")]
        """
    code = (
        "def test_it(sent):\n    assert sent\n\ndef test_bad(broken, sent):\n    assert not sent\n"
    )
    assert covered(tmp_path / "repo", code, tests__conftest=conftest) == {"happy", "terminal"}


def test_helpers_of_another_file_are_followed(tmp_path):
    helper = "from shop import tasks\n\ndef run():\n    tasks.send_receipt(7, 'a')\n"
    code = "from tests.running import run\n\ndef test_it(outbox):\n    run()\n    assert outbox\n"
    assert covered(tmp_path / "repo", code, tests__running=helper, tests____init__="") == {"happy"}


def test_a_derived_error_counts_as_its_base(tmp_path):
    code = (
        "def test_it(mail, outbox):\n    mail.failures = [ConnectionRefusedError()]\n   "
        " send_receipt.apply()\n    assert outbox\n"
    )
    assert covered(tmp_path / "repo", code, {"failures.transient": ["OSError"]}) == {"retryable"}


def test_set_up_counts(tmp_path):
    code = """
        class TestIt:
            def setup_method(self):
                self.result = send_receipt(7, "a")

            def test_it(self):
                assert self.result is None
        """
    assert covered(tmp_path / "repo", code) == {"happy"}


@pytest.mark.real
def test_what_is_missing_blocks_with_a_hint(tmp_path):
    result = examine("tests", build(tmp_path / "a", {"tests/test_tasks.py": HEAD + HAPPY}))
    assert result.status == "blocked"
    assert "Unavailable" in finding(result, "tests.no-retryable").hint
    assert "BadAddress" in finding(result, "tests.no-terminal").hint
    none = examine("tests", build(tmp_path / "b", {"tests/test_tasks.py": GONE}))
    assert finding(none, "tests.no-happy").path == "shop/tasks.py"
    assert none.grade is None


def test_no_retry_needs_no_retryable_test(tmp_path):
    terminal = COUNTS["terminal"][0].replace("test_it", "test_bad")
    changes = {"retry": {"kind": "none", "reason": "a second mail does harm"}}
    case = build(tmp_path / "repo", {"tests/test_tasks.py": HEAD + HAPPY + terminal}, changes)
    assert examine("tests", case).status == "pending"


REPLACED = {
    "monkeypatch": "monkeypatch.setattr(send_receipt, 'delay', lambda **kw: seen.append(kw))",
    "patch.object": "mock.patch.object(send_receipt, 'delay').start()",
    "the app's send_task": (
        "monkeypatch.setattr(orders.app, 'send_task', lambda *a, **kw: seen.append(a))"
    ),
    "patch by name": "mock.patch('shop.tasks.send_receipt.apply_async').start()",
}


@pytest.mark.real
@pytest.mark.parametrize("patch", REPLACED.values(), ids=REPLACED)
def test_a_test_that_replaces_delay_does_not_reach_the_handler(tmp_path, patch):
    code = (
        "from shop import orders\ndef test_it(monkeypatch, seen):\n    {}\n    orders.settle(7,"
        " 'a')\n    assert seen\n"
    )
    assert covered(tmp_path / "a", code.format(patch)) == set()
    assert covered(
        tmp_path / "b", code.format(patch) + "    send_receipt.apply(args=(7, 'a'))\n"
    ) == {"happy"}
    assert covered(tmp_path / "c", code.format("pass")) == {"happy"}


@pytest.mark.real
def test_a_publication_into_another_queue_still_reaches_the_handler(tmp_path):
    """An integration test publishes to a queue of its own; what is published elsewhere instead is
    cut off.
    """
    code = (
        "from functools import partial\nfrom shop import orders\ndef test_it(monkeypatch, seen):\n "
        "   monkeypatch.setattr(send_receipt, 'delay', partial({}, queue='own'))\n   "
        " orders.settle(7, 'a')\n    assert seen\n"
    )
    assert covered(tmp_path / "a", code.format("send_receipt.delay")) == {"happy"}
    assert covered(tmp_path / "b", code.format("seen.append")) == set()


@pytest.mark.real
def test_a_bad_input_that_ends_in_the_dead_letters_is_terminal(tmp_path):
    real = "def test_it(db):\n    send_receipt.apply(args=(7, 'nonsense'))\n    assert {}\n"
    assert covered(tmp_path / "a", real.format("db.count('dead_jobs') == 1")) == {"terminal"}
    assert covered(tmp_path / "b", real.format("db.count('dead_jobs') == 0")) == {"happy"}
    models = {"shop__models": "class Lost(Base):\n    __tablename__ = 'dead_jobs'\n"}
    assert covered(tmp_path / "c", real.format("db.count(Lost) == 1"), **models) == {"terminal"}
    assert covered(tmp_path / "d", real.format("db.count(Found) == 1"), **models) == {"happy"}


def test_who_calls_what_publishes_reaches_the_handler(tmp_path):
    """A desk's button calls a helper, and that one publishes."""
    desk = """
        from shop.orders import settle

        def press_button(order_id):
            settle(order_id, "a")
    """
    code = (
        "from shop import desk\ndef test_it(outbox):\n    desk.press_button(7)\n    assert outbox\n"
    )
    assert covered(tmp_path, code, shop__desk=desk) == {"happy"}


def test_a_class_of_tests_may_derive_from_one_of_the_repositorys(tmp_path):
    code = """
        import unittest

        class ShopCase(unittest.TestCase):
            def deliver(self):
                send_receipt(7, "a")

        class Shipping(ShopCase):
            def test_it(self):
                self.deliver()
                self.assertEqual(1, 1)
    """
    assert covered(tmp_path, code) == {"happy"}


def test_two_things_that_are_asserted_at_once_are_two(tmp_path):
    """That it came through, and that nothing was given up."""
    code = """
        def test_it(mail, outbox, dead_jobs):
            mail.failures = [mailer.Unavailable()]
            send_receipt.apply(args=(7, "a"))
            assert outbox == ["r-7"] and dead_jobs == []
    """
    assert covered(tmp_path, code) == {"retryable"}

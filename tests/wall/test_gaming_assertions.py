"""The look at assertions: what says less than it did, and which ways of saying the same it leaves
alone.
"""

from __future__ import annotations

import textwrap

import pytest
from looks import everything, found, severities

PATH = "tests/test_receipts.py"
LOOK = "weaker-assertion"


def sides(old: str, new: str, around: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """A test with two bodies; `around` is what else HEAD's file holds."""
    before, after = (
        f"def test_it(shop):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
        for body in (old, new)
    )
    return {PATH: before}, {PATH: f"{around}\n\n{after}"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    (
        (
            "assert run(7).state == 'OK'\nassert shop.rows() == [7]",
            "assert run(7).state == 'OK'",
            "no longer asserts",
        ),
        ("assert run(7).state == 'OK'", "run(7)", "no longer asserts"),
        ("assert run(7).state == 'OK'", "run(7)\nassert True", "always true"),
        ("assert run(7).state == 'OK'", "x = run(7)\nassert x == x", "always true"),
        ("assert shop.rows() == [7]", "assert (shop.rows() == [7], 'rows')", "always true"),
        ("assert shop.rows() == [7]", "assert shop.rows() is not None", "became"),
        ("assert shop.rows() == [7]", "assert shop.rows()", "became"),
        ("assert shop.rows() == [7]", "assert 7 in shop.rows()", "became"),
        ("assert shop.rows() == [7]", "assert shop.rows() != None", "became"),
        ("assert shop.rows() == [7]", "assert isinstance(shop.rows(), list)", "became"),
        ("assert len(shop.rows()) == 1", "assert len(shop.rows()) >= 0", "always true"),
        ("assert len(shop.rows()) > 0", "assert len(shop.rows()) >= 0", "always true"),
        ("assert shop.rows() == [7]", "assert shop.rows() == [7] or True", "always true"),
        ("assert shop.rows() == [7]", "assert isinstance(shop.rows(), object)", "always true"),
        ("assert shop.rows() == [7]", "assert shop.rows() == mock.ANY", "became"),
        ("assert len(shop.rows()) == 1", "assert shop.rows() is not None", "became"),
        ("r = run(7)\nassert r.state == 'OK'", "r = run(7)\nassert r", "became"),
        ("self.assertEqual(shop.rows(), [7])", "self.assertTrue(shop.rows())", "became"),
        ("self.assertEqual(shop.rows(), [7])", "self.assertIn(7, shop.rows())", "became"),
        ("self.assertEqual(shop.rows(), [7])", "self.assertIsNotNone(shop.rows())", "became"),
        ("send.assert_called_once_with(7)", "send.assert_called()", "became"),
        (
            "with pytest.raises(BadAddress):\n    run(7)",
            "with pytest.raises(Exception):\n    run(7)",
            "expects",
        ),
        (
            "with pytest.raises(BadAddress):\n    run(7)",
            "with pytest.raises(BaseException):\n    run(7)",
            "expects",
        ),
        ("with pytest.raises(BadAddress):\n    run(7)", "run(7)", "no longer expects"),
        (
            "assert run(7).state == 'OK'",
            "try:\n    assert run(7).state == 'OK'\nexcept AssertionError:\n    pass",
            "catches its own assertion",
        ),
        (
            "assert run(7).state == 'OK'",
            "try:\n    assert run(7).state == 'OK'\nexcept Exception as e:\n    print(e)",
            "catches its own assertion",
        ),
        (
            "assert run(7).state == 'OK'",
            "with contextlib.suppress(AssertionError):\n    assert run(7).state == 'OK'",
            "catches its own assertion",
        ),
    ),
)
def test_an_assertion_that_says_less_is_found(old: str, new: str, words: str) -> None:
    findings = found(LOOK, *sides(old, new))
    assert severities(findings) == ["error"], findings
    assert words in findings[0].message


@pytest.mark.parametrize(
    ("old", "new"),
    (
        ("assert shop.calls == ['k'] * 5", "assert shop.calls[0] == 'k'"),
        ("assert shop.calls == ['k', 'k']", "assert shop.calls[0] == 'k'"),
        ("assert shop.calls == ['k'] * 3", "assert shop.calls[-1] == 'k'"),
        ("assert shop.dead() == [('job', 7)]", "assert shop.dead()[0][0] == 'job'"),
        ("assert shop.calls == ['k']", "assert shop.calls[:1] == ['k']"),
        ("assert shop.calls == ['k']", "first, *_ = shop.calls\nassert first == 'k'"),
        ("assert shop.calls == ['k']", "for call in shop.calls:\n    assert call == 'k'"),
        ("assert shop.calls == ['k']", "assert [c for c in shop.calls if c == 'k'] == ['k']"),
        ("assert shop.calls == ['k', 'k']", "assert set(shop.calls) == {'k'}"),
        ("assert shop.calls == expected", "assert shop.calls[0] == expected[0]"),
        ("assert shop.calls == ['k']", "assert shop.calls[0] == 'k'\nassert len(shop.inbox) == 1"),
        ("assert sorted(shop.inbox) == ['a', 'b']", "assert min(shop.inbox) == 'a'"),
        ("assert sorted(shop.inbox) == ['a', 'b']", "assert set(shop.inbox) <= {'a', 'b'}"),
        ("assert shop.inbox == {'a': 1}", "assert sorted(shop.inbox) == ['a']"),
        ("assert shop.inbox == {'a': 1}", "assert list(shop.inbox.keys()) == ['a']"),
        ("assert shop.dead() == []", "assert all(row for row in shop.dead())"),
        ("assert 'will retry order=7' in log.text", "assert 'will retry' in log.text"),
        ("assert run().state in ('OK',)", "assert run().state in ('OK', 'FAILED')"),
        ("assert shop.ok() or shop.idle()", "assert shop.ok() or shop.idle() or shop.busy()"),
        ("assert len(shop.rows()) == 2", "assert len(shop.rows()) >= 1"),
        ("assert len(shop.rows()) == 2", "assert shop.rows()"),
        ("assert len(shop.rows()) == 2", "assert any(shop.rows())"),
        ("assert len(shop.rows()) == 2", "assert shop.rows()[0].order == 7"),
        ("assert shop.dead() == []", "assert shop.dead() is not None or shop.dead() == []"),
        ("assert shop.dead() == [7]", "assert shop.dead() == [7] or shop.dead() == [8]"),
        ("assert shop.dead() == []", "assert not shop.dead() or shop.dead()"),
        ("assert shop.dead() == []", "assert shop.dead() or not shop.dead()"),
        ("assert shop.dead() == []", "assert True or shop.dead() == []"),
        ("assert shop.dead() == []", "assert shop.dead() == [] or shop.dead() != []"),
        ("assert shop.dead() == []", "assert shop.dead() == [] if shop.dead() else True"),
        ("assert shop.dead() == []", "assert (shop.dead() == [],)"),
        ("assert shop.dead() == []", "assert (row == 7 for row in shop.dead())"),
        ("assert shop.dead() == []", "assert lambda: shop.dead() == []"),
    ),
)
def test_an_assertion_that_constrains_less_of_its_subject_is_found(old: str, new: str) -> None:
    assert severities(found(LOOK, *sides(old, new))) == ["error"]


@pytest.mark.parametrize(
    ("old", "new"),
    (
        ("assert cost() == pytest.approx(1.5)", "assert cost() == pytest.approx(1.5, rel=0.5)"),
        (
            "assert cost() == pytest.approx(1.5, abs=0.1)",
            "assert cost() == pytest.approx(1.5, abs=10)",
        ),
        ("assert cost() == 1.5", "assert cost() == pytest.approx(1.5, rel=10)"),
        (
            "with pytest.raises(Bad, match='a@'):\n    run(7)",
            "with pytest.raises(Bad):\n    run(7)",
        ),
    ),
)
def test_what_may_be_meant_is_a_warning(old: str, new: str) -> None:
    assert severities(found(LOOK, *sides(old, new))) == ["warning"]


def test_the_finding_stands_at_the_line_of_head() -> None:
    old, new = sides("assert run(7).state == 'OK'", "x = 1\nassert run(7).state")
    (finding,) = found(LOOK, old, new)
    assert new[PATH].splitlines()[(finding.line or 0) - 1].strip() == "assert run(7).state"


def test_a_test_that_moved_and_lost_an_assertion_is_found() -> None:
    old, new = sides(
        "assert run(7).state == 'OK'\nassert shop.rows() == [7]", "assert run(7).state == 'OK'"
    )
    findings = found(LOOK, old, {"tests/test_other.py": new[PATH]})
    assert severities(findings) == ["error"]
    assert findings[0].path == "tests/test_other.py"


COUNT = "def count():\n    return 1\n"
COUNTED = "from shop import old, new\n\ndef test_a():\n    assert old.count() == 1\n    assert old.size() == 2\n"


def test_what_is_asserted_of_a_function_that_moved_is_no_less() -> None:
    base = {PATH: COUNTED, "shop/old.py": f"def size():\n    return 2\n{COUNT}"}
    head = {
        PATH: COUNTED.replace("old.count", "new.count"),
        "shop/old.py": base["shop/old.py"][:25],
    }
    assert everything(base, {**head, "shop/new.py": COUNT}) == []
    other = {**head, "shop/new.py": COUNT.replace("1", "int('1')")}
    assert severities(found(LOOK, base, other)) == ["error"]


RENAMED = """
def test_a(db):
    assert db.rows.get(1) == 2
    assert db.rows.get(2) == 3
    assert db.rows.size == 2
"""


def test_a_name_that_is_another_one_throughout_the_file_is_no_finding() -> None:
    assert everything({PATH: RENAMED}, {PATH: RENAMED.replace("rows", "receipts")}) == []
    less = RENAMED.replace("assert db.rows.size == 2", "db.rows.size")
    assert severities(everything({PATH: RENAMED}, {PATH: less})) == ["error"]


LOGGED = """
def test_log(shop, caplog):
    with caplog.at_level(logging.INFO):
        run(7)
        run(8)
    assert "sent order_id=7" in caplog.text
    assert "dead order_id=8" in caplog.text
"""
FIRST = """
def test_log(shop, caplog):
    with caplog.at_level(logging.INFO):
        run(7)
    assert "sent order_id=7" in caplog.text
"""
SECOND = """

def test_log_of_the_dead(shop, caplog):
    with caplog.at_level(logging.INFO):
        run(8)
    assert "dead order_id=8" in caplog.text
"""


@pytest.mark.parametrize("name", ("test_log", "test_log_of_the_sent"))
def test_a_test_that_was_split_is_no_finding(name: str) -> None:
    """Also where neither part has the old name."""
    assert everything({PATH: LOGGED}, {PATH: FIRST.replace("test_log", name) + SECOND}) == []


def test_an_expected_error_that_has_a_test_of_its_own_is_no_finding() -> None:
    old = """
    def test_it(shop):
        assert run(7) == "sent"
        with pytest.raises(BadAddress, match="nobody"):
            run(8)
    """
    new = """
    def test_it(shop):
        assert run(7) == "sent"


    def test_bad_address(shop):
        with pytest.raises(BadAddress, match="nobody"):
            run(8)
    """
    assert everything({PATH: old}, {PATH: new}) == []
    assert everything({PATH: old}, {PATH: new.replace(', match="nobody"', "")}) != []


@pytest.mark.parametrize(
    "second",
    (
        SECOND.replace("run(8)", 'logging.info("dead order_id=8")'),
        SECOND.replace("        run(8)\n", "        run(8)\n        shop.log('dead order_id=8')\n"),
        SECOND.replace("        run(8)", '        caplog.text = "dead order_id=8"'),
        SECOND.replace("    with", "    return\n    with", 1),
        SECOND.replace("    with", "    if not shop:\n        return\n    with", 1),
        SECOND.replace("def test_log_of", "@pytest.mark.skip\ndef test_log_of"),
        SECOND.replace("def test_log_of", "def check_log_of"),
        SECOND.replace("shop, caplog", "shop, caplog, dead_log"),
        SECOND.replace('"dead order_id=8" in', '"dead" in'),
        "",
    ),
)
def test_a_part_that_does_or_says_something_else_is_found(second: str) -> None:
    assert "error" in severities(found(LOOK, {PATH: LOGGED}, {PATH: FIRST + second}))
    gone = {PATH: FIRST.replace("test_log", "test_sent") + second}
    assert "error" in severities(everything({PATH: LOGGED}, gone))


DONE = """
def test_it(shop, provider):
    assert run(7).state == "OK"
    assert provider.calls == ["k"]
    assert shop.rows() == [7]
"""
TWICE = """
def test_it(shop, provider):
    run(7)
    run(7)
    assert provider.calls == ["k"]
    assert shop.rows() == [7]
"""
SENDS_ONCE = 'def test_sends(provider):\n    {}\n    assert provider.calls == ["k"]\n'
MARKS = "\n\ndef test_marks(shop):\n    {}\n    assert shop.rows() == [7]\n"
FIXTURE = """
@pytest.fixture
def done(shop, provider):
    {}


def test_ends(done):
    assert done.state == "OK"


def test_sends(done, provider):
    assert provider.calls == ["k"]


def test_marks(done, shop):
    assert shop.rows() == [7]
"""
CLASS = """
class TestIt:
    @pytest.fixture(autouse=True)
    def deliver(self, shop, provider):
        run(7)
        {}

    def test_sends(self, provider):
        assert provider.calls == ["k"]

    def test_marks(self, shop):
        assert shop.rows() == [7]
"""
CASES = """
@pytest.mark.parametrize("payload", [{}, {"order": -1}])
def test_it(shop, payload):
    run(payload)
    assert shop.rows() == []
    assert shop.dead() == [payload]
"""
CASE = """

def test_{}(shop):
    run({})
    assert shop.rows() == []
    assert shop.dead() == [{}]
"""
EMPTY = CASE.format("empty", "{}", "{}")
NEGATIVE = CASE.format("negative", '{"order": -1}', '{"order": -1}')
STATE = 'assert run(7).state == "OK"'
SPLIT = {
    "what was asserted on is done alone": (
        DONE,
        SENDS_ONCE.format(STATE) + MARKS.format("run(7)"),
    ),
    "a fixture does it": (DONE, FIXTURE.format("return run(7)")),
    "a fixture of the class does it": (TWICE, CLASS.format("run(7)")),
    "a test for each case": (CASES, EMPTY + NEGATIVE),
}
NOT_SPLIT = {
    "nothing is done": (TWICE, SENDS_ONCE.format("pass") + MARKS.format("pass")),
    "once for twice": (TWICE, SENDS_ONCE.format("run(7)") + MARKS.format("run(7)")),
    "once in a fixture": (TWICE, CLASS.format("pass")),
    "a fixture writes it": (DONE, FIXTURE.format("shop.fill(7)\n    return run(7)")),
    "a fixture that is not shown": (DONE, FIXTURE.partition("\n\n\n")[2]),
    "a case is gone": (CASES, EMPTY),
    "another case": (CASES, EMPTY + NEGATIVE.replace('run({"order": -1})', "run({})")),
}


@pytest.mark.parametrize("name", SPLIT)
def test_parts_that_do_the_same_before_they_assert_are_no_finding(name: str) -> None:
    old, new = SPLIT[name]
    assert everything({PATH: old}, {PATH: new}) == []
    kept = new.replace("def test_sends", "def test_it").replace("def test_empty", "def test_it")
    assert everything({PATH: old}, {PATH: kept}) == []


@pytest.mark.parametrize("name", NOT_SPLIT)
def test_parts_that_do_less_or_more_before_they_assert_are_found(name: str) -> None:
    old, new = NOT_SPLIT[name]
    assert "error" in severities(everything({PATH: old}, {PATH: new}))


HELPER = """
def check_rows(shop, *orders):
    assert shop.rows() == list(orders)


def sent(shop):
    return [row.order for row in shop.rows()]
"""


@pytest.mark.parametrize(
    ("old", "new", "around"),
    (
        ("assert shop.rows() == [7]", "assert shop.rows() == [7, 8]", ""),
        ("assert shop.rows() == ['k'] * 2", "assert shop.rows() == ['k', 'k']", ""),
        ("assert shop.rows() == ['k'] * 2", "assert shop.rows() == [key] * 2", ""),
        ("assert shop.rows() == ['k'] * 2", "calls = shop.rows()\nassert calls == ['k', 'k']", ""),
        ("assert shop.rows() == [7]", "assert list(shop.rows()) == [7]", ""),
        ("assert shop.rows() == [7, 8]", "assert sorted(shop.rows()) == [7, 8]", ""),
        ("assert sorted(shop.rows()) == [7, 8]", "assert set(shop.rows()) == {7, 8}", ""),
        ("assert shop.rows() == [7]", "(row,) = shop.rows()\nassert row == 7", ""),
        (
            "assert shop.rows() == [7]",
            "assert len(shop.rows()) == 1\nassert shop.rows()[0] == 7",
            "",
        ),
        ("assert pair() == (1, 2)", "assert pair()[0] == 1\nassert pair()[1] == 2", ""),
        ("assert shop.rows()[0] == 7", "assert shop.rows()[-1] == 8", ""),
        ("assert shop.rows()[0] == 7", "assert shop.rows() == [7, 8]", ""),
        ("assert shop.rows()[0].order == 7", "row = shop.rows()[0]\nassert row.order == 7", ""),
        ("assert len(shop.rows()) == 1", "assert shop.rows() == [7]", ""),
        ("assert len(shop.rows()) == 1", "assert len(shop.rows()) == 2", ""),
        ("assert min(shop.rows()) == 7", "assert sorted(shop.rows()) == [7, 8]", ""),
        ("assert 'retry' in log.text", "assert 'will retry order=7' in log.text", ""),
        ("assert 'will retry' in log.text", "assert 'tries again' in log.text", ""),
        ("assert run().state in ('OK', 'DONE')", "assert run().state in ('OK',)", ""),
        ("assert run().state in ('OK', 'DONE')", "assert run().state == 'OK'", ""),
        ("assert shop.ok() or shop.idle()", "assert shop.ok()", ""),
        ("assert shop.rows() == [7]", "assert [7] == shop.rows()", ""),
        ("assert cost() == 1.5", "assert cost() == pytest.approx(1.5)", ""),
        ("assert shop.ok() or shop.empty()", "assert shop.empty() or shop.ok()", ""),
        ("assert fetch(worker=worker)['id'] == 1", "assert fetch(worker=1)['id'] == 1", ""),
        ("assert level() == Severity.INFO", "assert level() == Severity.WARNING", ""),
        ("assert shop.rows() == []", "assert not shop.rows()", ""),
        ("assert shop.is_empty() is True", "assert shop.is_empty()", ""),
        ("assert shop.is_empty()", "assert shop.is_empty() is True", ""),
        ("assert run(7).state == 'OK'", "result = run(7)\nassert result.state == 'OK'", ""),
        ("result = run(7)\nassert result.state == 'OK'", "assert run(7).state == 'OK'", ""),
        ("a, b = pair()\nassert a == 1\nassert b == 2", "assert pair() == (1, 2)", ""),
        (
            "assert shop.rows() == [7]\nassert shop.dead() == []",
            "assert (shop.rows(), shop.dead()) == ([7], [])",
            "",
        ),
        (
            "assert shop.rows() == [7]\nassert shop.dead() == []",
            "assert shop.rows() == [7] and shop.dead() == []",
            "",
        ),
        (
            "assert len(shop.rows()) == 1\nassert shop.rows()[0].order == 7",
            "assert [r.order for r in shop.rows()] == [7]",
            "",
        ),
        ("assert shop.rows() == [7]", "check_rows(shop, 7)", HELPER),
        (
            "assert shop.rows() == [7]",
            "assert_rows(shop, 7)",
            "from tests.helpers import assert_rows",
        ),
        ("assert [row.order for row in shop.rows()] == [7]", "assert sent(shop) == [7]", HELPER),
        ("self.assertEqual(shop.rows(), [7])", "assert shop.rows() == [7]", ""),
        ("assert shop.rows()", "assert shop.rows() == [7]", ""),
        ("assert 7 in shop.rows()", "assert shop.rows() == [7]", ""),
        (
            "with pytest.raises(Exception):\n    run(7)",
            "with pytest.raises(BadAddress):\n    run(7)",
            "",
        ),
        ("with pytest.raises(Bad):\n    run(7)", "with pytest.raises(BadAddress):\n    run(7)", ""),
        (
            "assert cost() == pytest.approx(1.5, rel=0.1)",
            "assert cost() == pytest.approx(1.5, rel=0.01)",
            "",
        ),
        ("assert run(7)", "assert run(7), 'the order was not sent'", ""),
        (
            "assert run(7).state == 'OK'",
            "try:\n    assert run(7).state == 'OK'\nfinally:\n    shop.close()",
            "",
        ),
        ("assert run(7).state == 'OK'", "for n in (7, 8):\n    assert run(n).state == 'OK'", ""),
        (
            "log = run(7)\nassert 'sent' in log\nassert 'order' in log",
            "log = run(7)\nassert log == 'sent order'",
            "",
        ),
    ),
)
def test_another_way_of_saying_as_much_is_no_finding(old: str, new: str, around: str) -> None:
    assert everything(*sides(old, new, around)) == []


# -- tests that set what they assert

ACT = "run(7)\nassert shop.calls == ['k']\nassert shop.rows() == [7]"


@pytest.mark.parametrize(
    "line",
    (
        "shop.calls = ['k']",
        "shop.calls[:] = ['k']",
        "shop.calls.clear()",
        "shop.calls.extend(['k'])",
        "setattr(shop, 'calls', ['k'])",
        "monkeypatch.setattr(shop, 'calls', ['k'])",
        "shop.rows = lambda: [7]",
    ),
)
def test_a_test_that_sets_what_it_asserts_is_found(line: str) -> None:
    new = ACT.replace("run(7)\n", f"run(7)\n{line}\n")
    findings = found(LOOK, *sides(ACT, new))
    assert severities(findings) == ["error"], findings
    assert "sets what it asserts" in findings[0].message


@pytest.mark.parametrize(
    "new",
    (
        f"shop.failures = [Down()]\n{ACT}",
        f"shop.calls = []\n{ACT}",
        f"shop.calls.clear()\n{ACT}",
        f"{ACT}\nshop.calls.clear()\nrun(8)\nassert shop.calls == ['k8']",
        f"shop.now = lambda: 5\n{ACT}",
        f"{ACT}\nshop.calls = []",
        (
            "with monkeypatch.context() as crash:\n    crash.setattr(shop, 'mark', die)\n   "
            f" run(6)\n{ACT}"
        ),
    ),
)
def test_a_test_that_sets_up_its_stage_is_no_finding(new: str) -> None:
    assert everything(*sides(ACT, new)) == []


# -- what a test is run by

FLAKY = """
import functools


def flaky(test):
    @functools.wraps(test)
    def again(*args, **kwargs):
        for _ in range(3):
            try:
                return test(*args, **kwargs)
            except AssertionError:
                continue

    return again
"""
LAST = FLAKY.replace(
    "                continue", "                last = sys.exc_info()[1]"
).replace("\n    return again", "        raise last\n\n    return again")
TOLERANT = """
import contextlib


@contextlib.contextmanager
def tolerant():
    try:
        yield
    except Exception:
        pass
"""
LEAVING = """
class tolerant:
    def __exit__(self, *_):
        return True
"""
OTHER = FLAKY.replace("AssertionError", "ConnectionError")
PLAIN = "def test_it(shop):\n    run(7)\n    assert shop.rows() == [7]\n"
WITHIN = (
    "def test_it(shop):\n    with tolerant():\n        run(7)\n        assert shop.rows() == [7]\n"
)


@pytest.mark.parametrize(
    ("wrapper", "test", "severity"),
    (
        (FLAKY, f"@flaky\n{PLAIN}", ["error"]),
        (FLAKY.replace("AssertionError", "BaseException as e"), f"@flaky\n{PLAIN}", ["error"]),
        (LAST, f"@flaky\n{PLAIN}", ["warning"]),
        (OTHER, f"@flaky\n{PLAIN}", []),
        (TOLERANT, WITHIN, ["error"]),
        (LEAVING, WITHIN, ["error"]),
        (TOLERANT.replace("pass", "raise"), WITHIN, []),
    ),
)
def test_what_catches_the_failures_of_a_test_is_found(
    wrapper: str, test: str, severity: list[str]
) -> None:
    name = "flaky" if "flaky" in test else "tolerant"
    imported = {"tests/retrying.py": wrapper, PATH: f"from retrying import {name}\n\n\n{test}"}
    assert severities(everything({PATH: PLAIN}, imported)) == severity
    assert severities(everything({PATH: PLAIN}, {PATH: f"{wrapper}\n\n{test}"})) == severity
    assert everything(imported, {**imported, PATH: imported[PATH] + "\n"}) == []

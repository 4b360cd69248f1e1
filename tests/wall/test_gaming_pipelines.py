"""What leaves tests standing, and their answer unheard: in a pipeline, by a mark, behind an error; and
records that a job deletes by a mapper.
"""

from __future__ import annotations

import pytest
from looks import everything, found, severities
from test_gaming_special_cases import BASE, TASKS, change

WORKFLOW = ".github/workflows/test.yml"
STEPS = "jobs:\n  test:\n    steps:\n      - run: pip install -r requirements.txt pytest\n"
PLAIN = {WORKFLOW: f"{STEPS}      - run: python -m pytest -q\n"}
SUITE = "tests/test_shop.py"


def steps(text: str) -> dict[str, str]:
    return {WORKFLOW: STEPS + text}


DEAF = {
    "a pipe": steps("      - run: python -m pytest -q 2>&1 | tee test.log\n"),
    "another pipe": steps("      - run: pytest -q | cat\n"),
    "true": steps("      - run: python -m pytest -q || true\n"),
    "something said": steps("      - run: python -m pytest -q || echo red\n"),
    "allowed": steps("      - run: python -m pytest -q\n        continue-on-error: true\n"),
    "fewer": steps("      - run: python -m pytest -q -k 'not slow'\n"),
    "none": steps("      - run: python -m compileall shop\n"),
}
HEARD = {
    "pipefail": steps(
        "      - run: |\n          set -o pipefail\n          python -m pytest -q | tee test.log\n"
    ),
    "bash": steps("      - run: python -m pytest -q | tee test.log\n        shell: bash\n"),
    "an artifact": steps(
        "      - run: python -m pytest -q --junitxml=out.xml\n      - uses: actions/upload@v4\n"
    ),
    "or ends": steps("      - run: python -m pytest -q || exit 1\n"),
    "another runner": steps("      - run: tox -e py311\n"),
}


@pytest.mark.parametrize("name", DEAF)
def test_a_pipeline_that_minds_no_test_is_an_error(name: str) -> None:
    assert severities(found("weaker-validation", PLAIN, DEAF[name])) == ["error"]
    assert found("weaker-validation", DEAF[name], DEAF[name]) == []


@pytest.mark.parametrize("name", HEARD)
def test_a_pipeline_that_fails_with_its_tests_is_none(name: str) -> None:
    assert everything(PLAIN, HEARD[name]) == []


def suite(test: str, top: str = "") -> dict[str, str]:
    return {SUITE: f"import os, sys\nimport pytest\n{top}\n\n{test}"}


TEST = "def test_a(shop):\n    assert shop.run() == 1\n"


@pytest.mark.parametrize(
    ("mark", "severity"),
    [
        ("pytest.mark.skipif(bool(os.environ.get('CI')), reason='slow')", ["error"]),
        ("pytest.mark.skip(reason='slow')", ["error"]),
        ("pytest.mark.skipif('GITHUB_ACTIONS' in os.environ, reason='slow')", ["error"]),
        ("pytest.mark.skipif(sys.platform == 'win32', reason='no fork')", ["warning"]),
        ("pytest.mark.usefixtures('database')", []),
    ],
)
def test_a_mark_with_a_name_of_its_own_skips_as_well(mark: str, severity: list[str]) -> None:
    marked = suite(f"@slow\n{TEST}", f"slow = {mark}")
    assert severities(found("skipped-test", suite(TEST), marked)) == severity
    assert found("skipped-test", marked, marked) == []


RAISED = "def test_a(shop):\n    with pytest.raises(Retry):\n        shop.run()\n"


def test_an_assertion_behind_the_error_that_ends_its_block_is_found() -> None:
    old = suite(f"{RAISED}    assert shop.status == 'due'\n")
    new = suite(f"{RAISED}        assert shop.status == 'due'\n")
    (said,) = found("weaker-assertion", old, new)
    assert "ends before it asserts" in said.message
    assert found("weaker-assertion", new, old) == []


def test_an_assertion_before_the_error_is_none() -> None:
    old = suite(f"{RAISED}    assert shop.status == 'due'\n")
    before = "        assert shop.is_open\n        shop.run()\n"
    new = suite(
        f"{RAISED.replace('        shop.run()', before.rstrip())}    assert shop.status == 'due'\n"
    )
    assert found("weaker-assertion", old, new) == []


MARK = "    receipts.mark_sent(order_id, email)\n"


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("session.execute(delete(DeadJob).where(DeadJob.at < now - 7 * 86400))", ["error"]),
        ("session.query(DeadJob).filter(DeadJob.at < now).delete()", ["error"]),
        ("DeadJob.objects.filter(at__lt=now).delete()", ["error"]),
        ("session.execute(delete(DeadJob).where(DeadJob.order_id == order_id))", []),
        ("DeadJob.objects.filter(order_id=order_id).delete()", []),
        ("session.execute(delete(Basket).where(Basket.at < now))", []),
    ],
)
def test_a_job_that_deletes_the_records_of_others_is_an_error(
    line: str, severity: list[str]
) -> None:
    """By a mapper as by a statement; its own row is its own business."""
    new = change(TASKS, MARK, f"{MARK}    {line}\n")
    assert severities(found("lost-records", BASE, new)) == severity

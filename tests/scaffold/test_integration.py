"""The integration test of a scaffold: where it is written, and what it sees with a real Redis and
without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from brokers import test_file, wrong_over_broker
from samples import Combination
from writing import write

from skillrun.proof.services.find import find_redis_server

BASE = Combination("rq")
CI = ".github/workflows/ci.yml"
JOB = (
    "jobs:\n  test:\n    services:\n      {0}:\n        image: {1}\n    steps:\n    - run: pytest\n"
)
MARKED = "[tool.pytest.ini_options]\nmarkers = [\n  'integration: needs {a} server',\n]\n"
FIXTURE = "import pytest\n\n\n@pytest.fixture(scope='session')\ndef redis_client():\n    ...\n"
SHOWN: dict[str, Mapping[str, str]] = {
    "a service in CI": {CI: JOB.format("queue", "'redis:7.2-alpine'")},
    "another registry's image": {CI: JOB.format("queue", "docker.io/bitnami/valkey:8")},
    "a compose file": {
        "deploy/docker-compose.dev.yml": "services:\n  mq:\n    image: rabbitmq:3-management\n"
    },
    "GitLab's services": {
        ".gitlab-ci.yml": "test:\n  services:\n    - redis:latest\n  script: pytest\n"
    },
    "a marker": {"pyproject.toml": MARKED},
    "a marker in an ini file": {
        "pytest.ini": "[pytest]\nmarkers =\n    slow: waits\n    integration: needs Redis\n"
    },
    "a marker that conftest.py adds": {
        "tests/conftest.py": "def pytest_configure(config):\n"
        "    config.addinivalue_line('markers', 'integration: needs Redis')\n"
    },
    "a fixture": {"tests/conftest.py": FIXTURE},
    "a folder": {"tests/integration/test_mail.py": "def test_mail():\n    pass\n"},
}
NOT_SHOWN: dict[str, Mapping[str, str]] = {
    "nothing": {},
    "a service that is no broker": {CI: JOB.format("db", "postgres:16")},
    "an image that only sounds like one": {
        CI: JOB.format("metrics", "oliver006/redis_exporter:v1")
    },
    "a service in a comment": {CI: JOB.format("db", "postgres:16 # not redis")},
    "an example's compose file": {
        "examples/app/compose.yml": "services:\n  mq:\n    image: redis\n"
    },
    "a stand-in": {
        "tests/conftest.py": FIXTURE.replace("import pytest", "import fakeredis\nimport pytest")
    },
    "a folder of the application": {"shop/integration/mail.py": "A = 1\n"},
    "another marker": {"pytest.ini": "[pytest]\nmarkers =\n    slow: waits for an integration\n"},
}


@pytest.mark.parametrize("files", SHOWN.values(), ids=SHOWN)
def test_it_is_written_where_a_broker_is_at_hand(tmp_path: Path, files: Mapping[str, str]) -> None:
    assert test_file(write(tmp_path, BASE, files).root)


@pytest.mark.parametrize("files", NOT_SHOWN.values(), ids=NOT_SHOWN)
def test_it_is_not_written_where_there_is_none(tmp_path: Path, files: Mapping[str, str]) -> None:
    written = write(tmp_path, BASE, files)
    assert [change.path for change in written.plan.changes if change.path.startswith("tests/")] == [
        "tests/test_send_receipt.py"
    ]


@pytest.mark.real
@pytest.mark.parametrize("framework", ("plain_cron", "apscheduler", "huey"))
def test_it_is_not_written_where_no_broker_carries_the_job(tmp_path: Path, framework: str) -> None:
    """Huey of the samples keeps its queue in a file."""
    trigger = "event" if framework == "huey" else "poller"
    written = write(
        tmp_path,
        Combination(framework, trigger=trigger, message="payload"),
        SHOWN["a compose file"],
    )
    assert not [change.path for change in written.plan.changes if "integration" in change.path]


@pytest.mark.real
@pytest.mark.parametrize(("image", "there"), [("postgis/postgis:16", True), ("redis:7", False)])
def test_where_postgresql_carries_the_job_it_needs_that(
    tmp_path: Path, image: str, there: bool
) -> None:
    written = write(tmp_path, Combination("procrastinate"), {CI: JOB.format("db", image)})
    assert any("integration" in change.path for change in written.plan.changes) is there


@pytest.mark.real
def test_it_goes_where_such_tests_are_and_is_marked_as_they_are(tmp_path: Path) -> None:
    files = {**SHOWN["a folder"], **SHOWN["a marker"]}
    text = write(tmp_path, BASE, files).text("tests/integration/test_send_receipt_worker.py")
    assert "\npytestmark = pytest.mark.integration\n" in text
    plain = write(tmp_path / "plain", BASE, SHOWN["a compose file"]).text(
        "tests/test_send_receipt_integration.py"
    )
    assert "pytestmark" not in plain


@pytest.mark.real
@pytest.mark.skipif(find_redis_server() is None, reason="no redis-server here")
@pytest.mark.parametrize(
    "combination",
    [
        Combination("celery", broker=True),
        Combination("celery", store="django", broker=True),
        Combination("rq", broker=True),
        Combination("dramatiq", store="receiver", message="payload", broker=True),
        Combination("huey", broker=True),
        Combination("arq", broker=True),
        Combination("taskiq", broker=True),
        Combination("django_q2", store="django", broker=True),
        Combination("procrastinate", broker=True),
    ],
    ids=str,
)
def test_it_passes_with_a_broker_is_skipped_without_and_fails_over_a_broken_handler(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    assert wrong_over_broker(written.root, combination.framework) == []


@pytest.mark.real
@pytest.mark.skipif(find_redis_server() is None, reason="no redis-server here")
def test_what_it_replaced_is_as_before_when_it_has_ended(tmp_path: Path) -> None:
    from brokers import broker_url, outcome

    written = write(tmp_path, Combination("celery", broker=True))
    path = written.root / test_file(written.root)
    after = (
        "\n\ndef test_nothing_stays():\n    app = send_receipt.app\n"
        "    assert 'apply_async' not in vars(send_receipt) or send_receipt.apply_async.__func__\n"
        "    assert [*app.amqp.queues] == ['celery'] and app.conf.task_always_eager is False\n"
    )
    path.write_text(path.read_text() + after)
    with broker_url("celery") as url:
        assert outcome(written.root, url) == "passed"

"""What the stages say of plain functions and crontabs alone; see `stages/test_libraries.py` for the rest."""

from __future__ import annotations

from pathlib import Path

import cases
import pytest
from plain_cron_shop import build, edited


def test_what_the_stages_see(tmp_path: Path) -> None:
    case = build(tmp_path / "repo")
    assert case.use is not None
    assert (case.use.id, case.use.scheduler) == ("plain-cron", "crontab")
    assert case.policy is not None
    assert case.policy.unknown == {}
    assert "deploy/crontab:1" in cases.examine("handler", case).summary
    assert (
        "tries 5 times, exponential backoff, capped at 1m" in cases.examine("retry", case).summary
    )


@pytest.mark.real
def test_a_limit_that_cannot_be_read_still_asks_whether_it_retries(tmp_path: Path) -> None:
    unread = edited("shop/receipts.py", "range(5)", "range(int(input()))")
    case = build(tmp_path / "repo", unread)
    assert case.policy is not None
    assert "max_attempts" in case.policy.unknown
    assert cases.examine("observability", case).status == "passed"
    quiet = build(tmp_path / "quiet", unread)
    path = quiet.root / "shop/receipts.py"
    path.write_text(path.read_text().replace("will retry", "").replace(" attempt=%s: %r", " %s %r"))
    path.write_text(path.read_text().replace("attempt, error", "'', error"))
    assert cases.has(cases.examine("observability", quiet), "observability.not-read")


def test_a_crontab_may_lie_outside_the_repository(tmp_path: Path) -> None:
    """The profile says plain-cron, and only another job library is seen: worth a word, and no
    contradiction.
    """
    for framework, stopping in (("plain-cron", []), ("rq", ["profile.framework"])):
        files = {"REPO_PROFILE.json": f'{{"jobs": {{"framework": "{framework}"}}}}'}
        result = cases.examine("identify", cases.build(tmp_path / framework, files))
        assert cases.rules(result) == stopping
        assert cases.has(result, "profile.framework")

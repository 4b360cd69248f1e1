"""What reading cannot tell of a job of arq."""

from __future__ import annotations

from pathlib import Path

from arq_repo import FILES, build
from framework_shop import examine

from skillrun.runner.findings import is_not_read

SETTINGS = """
    from house.arq import BaseSettings

    class WorkerSettings(BaseSettings):
        burst = False
    """
RETRYING = """
    import logging

    from house.arq import retrying
    from shop import mailer

    log = logging.getLogger(__name__)


    @retrying(5, dead_letters="dead_jobs")
    async def send_receipt(ctx, order_id, email):
        log.info("receipt started order_id=%s job_id=%s", order_id, ctx["job_id"])
        await mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        log.info("receipt sent order_id=%s", order_id)
    """


def test_settings_of_a_dependency_may_list_the_job(tmp_path: Path) -> None:
    result = examine("handler", build(tmp_path / "repo", {"shop/worker.py": SETTINGS}))
    assert not [f for f in result.findings if f.severity in ("blocker", "error")]
    asked = [f.message for f in result.findings if f.rule == "handler.not-read"]
    assert asked == [
        "not read: whether send_receipt is registered with arq: the class BaseSettings comes from"
        " `house.arq`; the proof will say"
    ]
    own = SETTINGS.replace("from house.arq import BaseSettings", "class BaseSettings: ...")
    result = examine("handler", build(tmp_path / "own", {"shop/worker.py": own}))
    assert "handler.not-registered" in {finding.rule for finding in result.findings}


def test_a_decorator_of_a_dependency_may_retry(tmp_path: Path) -> None:
    """arq runs again for Retry alone, and the decorator may raise it."""
    worker = FILES["shop/worker.py"].replace("ATTEMPTS, ", "").replace("ATTEMPTS + 5", "10")
    files = {"shop/tasks.py": RETRYING, "shop/worker.py": worker}
    result = examine("retry", build(tmp_path / "repo", files))
    assert not [f for f in result.findings if f.severity in ("blocker", "error")]
    asked = [finding.message for finding in result.findings if is_not_read(finding)]
    assert any("arq.plain-exception: the decorator retrying comes from" in one for one in asked)
    plain = RETRYING.replace('@retrying(5, dead_letters="dead_jobs")', "")
    result = examine("retry", build(tmp_path / "plain", {**files, "shop/tasks.py": plain}))
    assert "arq.plain-exception" in {f.rule for f in result.findings if f.severity == "error"}

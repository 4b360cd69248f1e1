"""A library that is only recognised: the first stage passes, and no stage that reads a handler
does.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops
from rows import real_but

SPEC = """version: 1
job: send-receipt
intent: {what: sends a receipt, why_async: the mail server is slow}
trigger: {type: event}
payload: {type: object, properties: {order_id: {type: integer}}, required: [order_id], examples: [{order_id: 7}]}
handler: shop.worker:send_receipt
message: kwargs
idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table receipts, window: 7d}}
effects: [{name: email, call: shop.mailer:send, key_arg: idempotency_key, guarantee: keyed}]
failures: {transient: [TimeoutError], permanent: [ValueError], acceptable_delay: 15m}
retry: {max_attempts: 5, backoff: {kind: exponential, base: 2s, factor: 2, cap: 60s, jitter: true}}
dead_letter: {kind: none, reason: it may be lost}
"""
REPOS = {
    "a timer in Node": {"package.json": "{}", "server/cron.js": "setInterval(f, 30_000);\n"},
    "dbos": {
        "requirements.txt": "dbos\n",
        "shop/worker.py": (
            "from dbos import DBOS\n\ndb = DBOS(config={})\n\n"
            "@DBOS.workflow()\ndef send_receipt(order_id): ...\n"
        ),
    },
    "sidekiq": {
        "Gemfile": 'gem "sidekiq"\n',
        "app/jobs/receipt_job.rb": (
            "class ReceiptJob\n  include Sidekiq::Job\n  def perform(id); end\nend\n"
        ),
    },
}


@pytest.mark.parametrize("library", real_but(REPOS, "dbos"))
@pytest.mark.parametrize("spec", [{}, {shops.SPEC: SPEC}], ids=["no spec", "a whole spec"])
def test_no_stage_passes_on_trust(tmp_path: Path, library: str, spec: dict[str, str]) -> None:
    root = helpers.build_tree(tmp_path / "repo", REPOS[library] | spec)
    report = shops.report(root, code=3)
    status = {stage["id"]: stage["status"] for stage in report["stages"]}
    rules = {finding["rule"] for stage in report["stages"] for finding in stage["findings"]}
    assert status["identify"] == "passed"
    assert not {
        status[name] for name in ("idempotency", "handler", "retry", "dead-letter", "tests")
    } & {"passed"}
    expected = (
        ("idempotency", "handler", "retry", "dead-letter", "observability", "tests")
        if spec
        else ("handler",)
    )
    assert {f"{name}.unread-framework" for name in expected} <= rules

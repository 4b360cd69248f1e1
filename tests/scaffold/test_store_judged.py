"""The stage idempotency is content with the store that a repository gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import store_cases
from store_kinds import (
    KINDS,
    Kind,
)

from skillrun.skills.job_worker.stages import idempotency

CELERY = {
    "requirements.txt": "celery>=5\nsqlalchemy\nredis\ndjango\n",
    "Procfile": "worker: celery -A shop worker\n",
    "shop/celery.py": (
        """
        from celery import Celery

        app = Celery("shop", broker="amqp://localhost", include=["shop.tasks"])
        """
    ),
    "shop/mailer.py": "def send(order_id, email, *, idempotency_key=None): ...\n",
    "shop/tasks.py": (
        """
        import logging

        from shop import mailer, send_receipt_store
        from shop.celery import app

        logger = logging.getLogger(__name__)


        @app.task(name="shop.send_receipt")
        def send_receipt(order_id: int, email: str) -> None:
            with send_receipt_store.once(order_id) as first:
                if not first:
                    logger.info("send_receipt skipped, done before order_id=%s", order_id)
                    return
                mailer.send(order_id=order_id, email=email, idempotency_key=f"send-receipt-{order_id}")
            logger.info("send_receipt succeeded order_id=%s", order_id)
        """
    ),
}
DOUBTS = {
    "idempotency.store-not-used",
    "idempotency.store-not-checked",
    "idempotency.store-not-judged",
    "idempotency.key-nullable",
    "idempotency.store-narrower",
}
JUDGED = [
    pytest.param(KINDS[name], manner, id=f"{name}-{manner}")
    for name in (
        "mapped",
        "flask",
        "classic",
        "sqlmodel",
        "engine",
        "django",
        "bare_django",
        "redis",
        "redis_once",
        "redis_alone",
    )
    for manner in KINDS[name].manners
]


@pytest.mark.parametrize(("kind", "manner"), JUDGED)
def test_the_stage_is_content(make_repo: Callable[..., Path], kind: Kind, manner: str) -> None:
    root = make_repo({**kind.files, **CELERY})
    spec = kind.spec(manner)
    store_cases.write_store(store_cases.case_of(root, spec))
    found = idempotency.examine(store_cases.case_of(root, spec)).findings
    bad = [f for f in found if f.severity in ("blocker", "error") or f.rule in DOUBTS]
    assert [(f.rule, f.message) for f in bad] == []

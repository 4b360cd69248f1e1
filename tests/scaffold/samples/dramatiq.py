"""A shop that works with Dramatiq."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("dramatiq[redis]>=2.0",)
FILES: dict[str, str] = {
    "Procfile": "worker: dramatiq shop.tasks\n",
    "shop/broker.py": dedent("""\
        \"\"\"The broker of the shop's jobs.\"\"\"

        import os

        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
        broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
        dramatiq.set_broker(broker)
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        import dramatiq

        from shop.broker import broker

        logger = logging.getLogger(__name__)


        @dramatiq.actor(broker=broker)
        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
}

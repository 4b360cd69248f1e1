"""The job specs of the samples."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from samples.combinations import Combination


def spec(combination: Combination) -> dict[str, Any]:
    """The job spec of a combination; its `proof` is left to the scaffold."""
    effect: dict[str, Any] = {
        "name": "email",
        "call": "shop.mailer:send",
        "guarantee": combination.effect,
    }
    if combination.effect == "keyed":
        effect |= {"key_arg": "idempotency_key", "window": "24h"}
    elif combination.effect == "transactional":
        effect |= {"call": "shop.bookings:book", "mode": "pass_through"}
    else:
        effect["reason"] = "The provider knows no keys"
    made: dict[str, Any] = {
        "version": 1,
        "job": "send-receipt",
        "intent": {
            "what": "Email a receipt once the payment settles",
            "why_async": "SMTP is slow and may be down",
        },
        "trigger": {"type": combination.trigger, **TRIGGERS[combination.trigger]},
        "payload": deepcopy(PAYLOAD),
        "handler": "shop.tasks:send_receipt",
        "message": combination.message,
        "idempotency": {
            "strategy": "keyed",
            "key": ["order_id"],
            "dedupe": {
                "store": DEDUPE[combination.store],
                "window": "24h" if combination.store == "receiver" else "7d",
            },
        },
        "effects": [effect],
        "failures": {
            "transient": ["shop.mailer:Unavailable", "TimeoutError"],
            "permanent": ["shop.mailer:BadAddress"],
            "acceptable_delay": "15m",
        },
        "retry": {"max_attempts": 4, "backoff": BACKOFF[combination.backoff]}
        if combination.retry
        else {"kind": "none", "reason": "Somebody looks at each failure"},
        "dead_letter": DEAD[combination.dead],
    }
    if combination.effect == "transactional":
        made["failures"] |= {"transient": ["TimeoutError"], "permanent": ["ValueError"]}
        # Which tables the adapter writes is the author's to say.
        made["proof"] = {**deepcopy(BOOKED), **BOOKED_IN.get(combination.store, {})}
    return made


PAYLOAD: dict[str, Any] = {
    "type": "object",
    "required": ["order_id", "email"],
    "additionalProperties": False,
    "properties": {
        "order_id": {"type": "integer", "minimum": 1},
        "email": {"type": "string", "format": "email"},
    },
    "examples": [
        {"order_id": 7, "email": "a@example.com"},
        {"order_id": 8, "email": "a@example.com"},
    ],
}
BOOKED: dict[str, Any] = {
    "env": {"SHOP_DB": "{scratch}/app.db"},
    "setup": "python -m shop.bookings && python -m shop.send_receipt_store",
    "database": "{scratch}/app.db",
    "state": {
        "receipts": "select order_id from receipts order by 1",
        "bookings": "select order_id, email from bookings order by 1",
    },
    "dead_letters": "select count(*) from dead_jobs",
    "poison": [{}, {"order_id": 0.5, "email": "a@example.com"}],
}
BOOKED_IN: dict[str, dict[str, Any]] = {
    "asyncio": {
        "env": {"DATABASE_URL": "sqlite+aiosqlite:///{scratch}/app.db"},
        "setup": "python -m shop.schema",
    },
    "django": {
        "env": {"DJANGO_SETTINGS_MODULE": "config.settings", "SHOP_DB": "{scratch}/app.db"},
        "setup": "python manage.py migrate",
    },
}
BACKOFF: dict[str, dict[str, Any]] = {
    "doubling": {"kind": "exponential", "base": "2s", "factor": 2, "cap": "60s", "jitter": True},
    "tripling": {"kind": "exponential", "base": "1s", "factor": 3, "cap": "60s", "jitter": True},
    "fixed": {"kind": "fixed", "base": "5s"},
}
TRIGGERS = {
    "event": {},
    "cron": {"schedule": "*/5 * * * *", "timezone": "UTC"},
    "poller": {"every": "60s"},
}
DEDUPE = {
    **dict.fromkeys(("sqlite3", "sqlalchemy", "asyncio", "alembic", "django"), "table receipts"),
    "redis": "redis receipts",
    "receiver": "receiver",
}
DEAD = {
    "table": {"kind": "table", "where": "dead_jobs"},
    "queue": {"kind": "queue", "where": "dead"},
    "framework": {"kind": "framework"},
    "none": {"kind": "none", "reason": "A receipt can be asked for again"},
}

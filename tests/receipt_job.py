"""The spec of the small shop that several frameworks' tests share: a receipt is mailed once for
each order.
"""

from __future__ import annotations

from typing import Any

SPEC: dict[str, Any] = {
    "version": 1,
    "job": "send-receipt",
    "intent": {"what": "Email a receipt", "why_async": "SMTP is slow"},
    "trigger": {"type": "event"},
    "payload": {
        "type": "object",
        "required": ["order_id", "email"],
        "properties": {"order_id": {"type": "integer"}, "email": {"type": "string"}},
        "examples": [
            {"order_id": 7, "email": "a@example.com"},
            {"order_id": 8, "email": "a@example.com"},
        ],
    },
    "handler": "shop.tasks:send_receipt",
    "idempotency": {
        "strategy": "keyed",
        "key": ["order_id"],
        "dedupe": {"store": "table receipts", "window": "7d"},
    },
    "effects": [
        {
            "name": "email",
            "call": "shop.mailer:send",
            "key_arg": "idempotency_key",
            "window": "24h",
            "guarantee": "keyed",
        }
    ],
    "failures": {
        "transient": ["shop.mailer:Unavailable", "TimeoutError"],
        "permanent": ["shop.mailer:BadAddress"],
        "acceptable_delay": "15m",
    },
    "retry": {
        "max_attempts": 5,
        "backoff": {
            "kind": "exponential",
            "base": "2s",
            "factor": 2,
            "cap": "60s",
            "jitter": False,
        },
    },
    "dead_letter": {"kind": "table", "where": "dead_jobs"},
}

"""Jobs that were given up, for a person to look at."""

import json
from typing import Any

from shop import db


def record(job: str, payload: dict[str, Any], reason: str) -> None:
    """Keeps one row for each job and payload; a job that dies twice does not add another."""
    with db.transaction() as connection:
        connection.execute(
            "INSERT INTO dead_jobs (job, order_id, payload, reason) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (job, payload) DO NOTHING",
            (job, payload.get("order_id"), json.dumps(payload, sort_keys=True), reason),
        )

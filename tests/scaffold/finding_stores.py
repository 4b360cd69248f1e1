"""What a store is found to be, and what a proof is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import store_cases

from skillrun.skills.job_worker.scaffold.stores.proof import proof_part


def proved(root: Path, spec: Mapping[str, Any]) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    case = store_cases.case_of(root, spec)
    store = store_cases.find(case)
    return store.kind, proof_part(store, case), store.extras["notes"]


TABLES = {
    "state": {"receipts": "select order_id from receipts order by order_id"},
    "dead_letters": "select count(*) from dead_jobs",
}
PSYCOPG = {"requirements.txt": "psycopg[binary]\n"}
PSYCOPG_URL = "postgresql+psycopg://{postgresql.user}@/{postgresql.name}?host={postgresql.host}"

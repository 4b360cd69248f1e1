"""The spec's `proof` part, as far as the store decides it: where its database lies, and what to ask
it afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Store
    from skillrun.skills.job_worker.scaffold.stores.database import Database
    from skillrun.skills.job_worker.stages.interface import JobCase


def proof_part(store: Store, case: JobCase) -> dict[str, Any]:
    """Fields of `proof` as the schema of a job spec has them; what cannot be told is left out.

    `Store.facts["notes"]` says what a person has to add, e.g. a setting that no environment
    variable reaches.
    """
    spec = case.spec
    dead = None
    if spec and spec.dead_letter and spec.dead_letter.kind == "table":
        dead = spec.dead_letter.where
    beside: list[Store | None] = [store.facts.get("letters"), store.facts.get("rows")]
    both = [store, *(one for one in beside if one is not None)]
    databases: list[Database] = [one.facts["database"] for one in both if "database" in one.facts]
    part: dict[str, Any] = {
        "env": {name: value for database in databases for name, value in database.env.items()},
        "services": sorted({service for database in databases for service in database.services}),
        "setup": next((one.facts["setup"] for one in both if one.facts.get("setup")), None),
        "database": next((database.database for database in databases if database.database), None),
    }
    if part["database"] is not None or (spec and spec.proof and spec.proof.database is not None):
        part["state"] = _state(store)
        if dead:
            part["dead_letters"] = f"select count(*) from {_bare(dead)}"
        else:
            part["dead_letters"] = None
    found = {}
    for name, value in part.items():
        if value:
            found[name] = value
    return found


def _state(store: Store) -> dict[str, str]:
    """The keys in the dedupe table: after any schedule those of a single run."""
    if store.kind in ("redis", "receiver"):
        return {}
    names = ", ".join(column.name for column in store.facts["columns"])
    return {store.name: f"select {names} from {store.name} order by {names}"}


def _bare(where: str) -> str:
    return where.split()[-1].strip('"`')

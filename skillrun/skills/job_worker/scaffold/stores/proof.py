"""The spec's `proof` part, as far as the store decides it: where its database lies, and what to ask
it afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Store
    from skillrun.skills.job_worker.job_case import JobCase
    from skillrun.skills.job_worker.scaffold.stores.database import Database


def proof_part(store: Store, case: JobCase) -> dict[str, Any]:
    """Fields of `proof` as the schema of a job spec has them; what cannot be told is left out.

    `Store.extras["notes"]` says what a person has to add, e.g. a setting that no environment
    variable reaches.
    """
    spec = case.spec
    part: dict[str, Any] = {"env": {}, "services": [], "setup": None, "database": None}
    for one in (store, store.extras.get("letters"), store.extras.get("rows")):
        if one is not None:
            _add_store(part, one)
    part["services"] = sorted(set(part["services"]))
    is_named = bool(spec and spec.proof and spec.proof.database is not None)
    if part["database"] is not None or is_named:
        part["state"] = _state(store)
        letter = None
        if spec:
            letter = spec.dead_letter
        if letter is not None and letter.kind == "table" and letter.where:
            part["dead_letters"] = f"select count(*) from {_bare(letter.where)}"
    return {name: value for name, value in part.items() if value}


def _add_store(part: dict[str, Any], store: Store) -> None:
    """What one of the stores needs; the first has the say about what there is but one of."""
    part["setup"] = part["setup"] or store.extras.get("setup")
    database: Database | None = store.extras.get("database")
    if database is not None:
        part["env"] |= database.env
        part["services"] += database.services
        part["database"] = part["database"] or database.database


def _state(store: Store) -> dict[str, str]:
    """The keys in the dedupe table: after any schedule those of a single run."""
    if store.kind in ("redis", "receiver"):
        return {}
    names = ", ".join(column.name for column in store.extras["columns"])
    return {store.name: f"select {names} from {store.name} order by {names}"}


def _bare(where: str) -> str:
    return where.split()[-1].strip('"`')

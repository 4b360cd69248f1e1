"""A first `proof:` section for a job that has none, from its handler, its store and the settings.

What nobody can read is a blank that a person fills in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from skillrun.core.errors import SkillrunError
from skillrun.repo.places import is_aside
from skillrun.skills.job_worker.scaffold.secrets import VALUE, find_secrets
from skillrun.skills.job_worker.scaffold.stores.find import find_store
from skillrun.skills.job_worker.scaffold.stores.proof import proof_part
from skillrun.skills.job_worker.scaffold.stores.variables import Variable, read_variable

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.skills.job_worker.job_case import JobCase

BLANK = "FILL IN"
_FILE = "{scratch}/app.db"
_OF_DATABASE = re.compile(r"(?:^|_)(?:DB|DATABASE|DSN|SQLITE)(?:_(?:URL|URI|PATH|FILE|NAME))?$")


def draft_proof(case: JobCase) -> str | None:
    """The section on one line of YAML; None where there is no spec to draft one for."""
    spec = case.spec
    if spec is None:
        return None
    found = _read_store(case)
    env = {**dict.fromkeys(find_secrets(case.project), VALUE), **found.pop("env", {})}
    made: dict[str, Any] = {"env": env, **found}
    if "database" not in made:
        _guess_database(case.project, made)
    made.setdefault("setup", _find_setup(case))
    made.setdefault("state", _draft_state(case))
    letter = spec.dead_letter
    if letter is not None and letter.kind == "table" and letter.where:
        made.setdefault("dead_letters", f"select count(*) from {letter.where.split()[-1]}")
    if (spec.payload or {}).get("required"):
        made["poison"] = [{}]
    text = yaml.safe_dump({"proof": made}, default_flow_style=True, sort_keys=False, width=10**6)
    return text.strip().removeprefix("{").removesuffix("}")


def _read_store(case: JobCase) -> dict[str, Any]:
    """What the job's store decides; nothing where it cannot be told which that is, or where it is
    one that a scaffold would only write.
    """
    spec = case.spec
    if spec is None or spec.idempotency is None:
        return {}
    try:
        found = proof_part(find_store(case, spec), case)
    except SkillrunError:
        return {}
    known = {variable.name for variable in _list_variables(case.project)}
    if not known.issuperset(found.get("env", {})):
        return {}
    return found


def _guess_database(project: Project, made: dict[str, Any]) -> None:
    """The setting whose name says that it leads to the database, moved into the scratch folder."""
    for variable in _list_variables(project):
        if _OF_DATABASE.search(variable.name):
            is_url = "sqlite:" in (variable.default or variable.part)
            if is_url:
                made["env"][variable.name] = f"sqlite:///{_FILE}"
            else:
                made["env"][variable.name] = _FILE
            made["database"] = _FILE
            return
    made["env"].setdefault(BLANK, "the setting that leads to the database: {scratch}/...")
    made["database"] = f"{BLANK}: its file or URL, e.g. {_FILE}"


def _list_variables(project: Project) -> Iterator[Variable]:
    """The environment variables that the repository's own modules read."""
    paths = {path for word in ("environ", "getenv") for path in project.tree.search(word, ".py")}
    for path in sorted(path for path in paths if not is_aside(path)):
        module = project.module(path)
        if module is not None:
            for node in module.all_nodes:
                if isinstance(node, ast.Call | ast.Subscript) and module is not None:
                    variable = read_variable(project, module, node)
                    if variable is not None:
                        yield variable


def _find_setup(case: JobCase) -> str:
    """The command that makes the tables."""
    if case.tree.read("manage.py") is not None:
        return "python manage.py migrate"
    return f"{BLANK}: the command that makes the tables"


def _draft_state(case: JobCase) -> dict[str, str]:
    """The rows of the dedupe table; what else the job leaves is for a person to add."""
    idempotency = None
    if case.spec:
        idempotency = case.spec.idempotency
    dedupe = None
    if idempotency:
        dedupe = idempotency.dedupe
    store = None
    if dedupe:
        store = dedupe.store
    table = re.fullmatch(r"table (\w+)\b.*", (store or "").strip())
    if table is None:
        return {BLANK: "a query of what the job leaves, in a fixed order"}
    return {table[1]: f"select * from {table[1]} order by 1"}

"""What the tools answer: the documents of `--json`, with the fields that a client may rely on."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Value = dict[str, Any]


class Document(BaseModel):
    """A JSON document of the command line; what is not named here is handed on all the same."""

    model_config = ConfigDict(extra="allow")


class Skills(Document):
    """Skills that can be run here: [{id, path, where, shadowed, error}]."""

    skills: list[Value]


class Skill(Document):
    """A skill as it was read, and the stages that a run would have."""

    id: str
    description: str
    stages: list[Value]


class Report(Document):
    """report.v1: where a run stands after an invocation."""

    schema_version: int
    run: Value
    outcome: Literal["success", "partial", "blocked"]
    stages: list[Value]
    checks: list[Value]
    recommendations: list[Value]
    next: list[Value]
    telemetry: Value
    ledger: Value


class Order(Document):
    """The work order: what to build and where, what will be checked, and the command to run
    then.
    """

    schema_version: int
    run: Value
    outcome: Literal["success", "partial", "blocked"]
    data: str
    orders: list[Value]
    more: list[str]
    pending: list[str]
    stale: list[str]
    then: str


class ProofReport(Document):
    """What fault injection found."""

    schema_version: int
    verdict: Literal["proved", "refuted", "incomplete"]
    witnesses: list[Value]
    schedules: Value


class Detection(Document):
    """Job libraries in use, and the repository's commands."""

    schema_version: int
    primary: str | None
    frameworks: list[Value]
    profile: Value


class Rows(Document):
    """Rows of a query; or, without a query, the named ones."""

    columns: list[str] = []
    rows: list[Value] = []
    truncated: bool = False
    queries: Value = {}

"""Repositories and specs for the stores: a case, its store, the pieces written into the
checkout.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helpers
import receipt_job
import yaml
from bundled import bundled_skill

from skillrun.contract.spec import load_spec
from skillrun.frameworks.pieces import Conventions, Facts, Module, NewFile, Retries, Store, Symbol
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.scaffold.stores.find import find_store
from skillrun.skills.job_worker.scaffold.stores.registry import pieces

SPEC: dict[str, Any] = {
    "version": 1,
    "job": "send-receipt",
    "payload": receipt_job.SPEC["payload"],
    "handler": "shop.tasks:send_receipt",
    "message": "kwargs",
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
            "guarantee": "keyed",
        }
    ],
    "failures": {"transient": ["TimeoutError"], "acceptable_delay": "15m"},
    "retry": {
        "max_attempts": 5,
        "backoff": {"kind": "exponential", "base": "10s", "factor": 4, "cap": "10m"},
    },
    "dead_letter": {"kind": "table", "where": "dead_jobs"},
}
MANNERS = {"remote": "keyed", "transactional": "transactional", "claims": "at_most_once"}


def spec(
    manner: str = "remote",
    key: tuple[str, ...] = ("order_id",),
    dead: str | None = "dead_jobs",
    **parts: Any,
) -> dict[str, Any]:
    """The spec of a job, with other guarantees, key fields or dead letters; `parts` replace whole
    parts.
    """
    made = copy.deepcopy(SPEC)
    made["effects"][0] |= {"guarantee": MANNERS[manner], "reason": "a test"}
    made["idempotency"]["key"] = list(key)
    made["dead_letter"] = (
        {"kind": "table", "where": dead} if dead else {"kind": "none", "reason": "a test"}
    )
    return made | parts


def case_of(root: Path, content: Mapping[str, Any]) -> JobCase:
    """The case of a repository with this spec in it."""
    helpers.write_files(
        root, {f".skillrun/jobs/{content['job']}.yaml": yaml.safe_dump(dict(content))}
    )
    helpers.commit(root, "Spec")
    skill = bundled_skill()
    read = load_spec(root / f".skillrun/jobs/{content['job']}.yaml", root=root)
    return JobCase(skill, read, open_repo(root), Tree(root))


def facts_of(case: JobCase, store: Store) -> Facts:
    """Facts with what stores look at; the rest is as plain as can be."""
    spec = case.spec
    assert spec is not None and spec.handler is not None and spec.idempotency is not None
    module, _, name = spec.handler.partition(":")
    dead = spec.dead_letter
    return Facts(
        job=spec.job,
        name=name,
        title="SendReceipt",
        what="Test",
        why="",
        module=module,
        path=module.replace(".", "/") + ".py",
        package=module.rpartition(".")[0],
        message="kwargs",
        fields=(),
        key=spec.idempotency.key,
        effects=(),
        transient=(),
        permanent=(),
        invalid=Symbol("", "ValueError"),
        retries=Retries(),
        dead_letter=dead.kind if dead else "none",
        dead_letter_where=(dead.where if dead else None) or "",
        dead_letter_reason=None,
        trigger="event",
        schedule=None,
        timezone=None,
        every_s=None,
        enqueue=Symbol(module, f"enqueue_{name}"),
        store=store,
        use=FrameworkUse("plain_cron"),
        app=None,
        conventions=Conventions(),
    )


def find(case: JobCase) -> Store:
    """The store of a case."""
    assert case.spec is not None
    return find_store(case, case.spec)


def write_store(case: JobCase) -> Store:
    """Writes a store's pieces into the checkout, a module's at the end of the file that is there;
    commits.
    """
    store = find(case)
    for piece in pieces(facts_of(case, store)):
        assert isinstance(piece, Module | NewFile)
        path = case.root / piece.path
        text = piece.source if isinstance(piece, Module) else piece.text
        before = path.read_text() if path.exists() else ""
        if isinstance(piece, NewFile):
            assert not path.exists(), piece.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{before}\n\n{text}" if before else text)
    helpers.commit(case.root, "Store")
    return store


def resource_folder() -> Path:
    """The templates of the stores."""
    import skillrun.skills.job_worker.scaffold.stores

    return Path(skillrun.skills.job_worker.scaffold.stores.__file__).parent / "templates"


def python(
    root: Path, code: str, *args: str, check: bool = True, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs code in the repository, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        cwd=root,
        env=environment(root, **env),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def environment(root: Path, **env: str) -> dict[str, str]:
    """Nothing of the test's own environment but the interpreter's folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": path,
        "PYTHONPATH": str(root),
        "HOME": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        **env,
    }

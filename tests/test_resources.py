"""What ships with skillrun is read as it was packed: an installer's byte-code among it is passed
over.
"""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest

from skillrun.cli import demo
from skillrun.core.resources import copy_resource, list_resource_files, resource


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """The examples as they lie in an environment after `pip install`: every Python file compiled
    beside itself.
    """
    folder = tmp_path / "examples"
    copy_resource(resource("skills", "job-worker-orchestration", "examples"), folder)
    assert compileall.compile_dir(folder, quiet=1)
    assert list(folder.rglob("*.pyc"))
    return folder


def test_files_are_listed_without_caches(compiled: Path) -> None:
    assert list_resource_files(compiled / "celery-shop-steps") == [
        "1-idempotency-unknown/.skillrun/jobs/send-receipt.yaml",
        "2-permanent-error-retried/shop/tasks.py",
        "README.md",
    ]


def test_a_copy_has_no_caches(compiled: Path, tmp_path: Path) -> None:
    copy_resource(compiled, tmp_path / "copy")
    assert list_resource_files(tmp_path / "copy") == list_resource_files(compiled)
    assert not list((tmp_path / "copy").rglob("__pycache__"))


def test_the_demos_steps_are_made_from_compiled_examples(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_examples", lambda: compiled)
    demo._prepare(tmp_path / "shop", demo.STEPS[0])
    diff = demo._change_to(tmp_path / "shop", demo.STEPS[1])
    assert "+  key: [order_id]" in diff
    assert not list((tmp_path / "shop").rglob("*.pyc"))

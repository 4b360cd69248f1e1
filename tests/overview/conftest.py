"""A shop whose job has tests and no spec."""

from __future__ import annotations

from pathlib import Path

import pytest
import shops


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> Path:
    """The shop with tests of its job, and without a spec."""
    root = shops.shop(tmp_path / "shop")
    (root / shops.SPEC).unlink()
    return root

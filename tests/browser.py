"""A real Chromium without a window; who needs it is skipped where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = os.environ.get("SKILLRUN_TEST_CHROMIUM") or next(
    filter(None, map(shutil.which, NAMES)), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on PATH, and none named by SKILLRUN_TEST_CHROMIUM"
)


def chromium(profile: Path, *args: str) -> str:
    """What a headless Chromium printed."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
    ]
    done = subprocess.run([*command, *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout

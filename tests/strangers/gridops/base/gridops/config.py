import os
import tomllib
from pathlib import Path
from types import SimpleNamespace

FILE = Path(os.environ.get("GRIDOPS_CONFIG", Path(__file__).parent.parent / "gridops.toml"))


def load(file: Path = FILE) -> SimpleNamespace:
    sections = tomllib.loads(file.read_text())
    for section, values in sections.items():
        for key in values:
            values[key] = os.environ.get(f"GRIDOPS_{section}_{key}".upper(), values[key])
    return SimpleNamespace(**{name: SimpleNamespace(**values) for name, values in sections.items()})


config = load()

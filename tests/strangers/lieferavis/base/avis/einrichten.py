"""Tabellen anlegen: `python -m avis.einrichten`; `--probe` legt drei Avise dazu, wenn noch keines da ist."""

import sys

from avis import modelle

PROBE = (
    ("LS-70411", "wareneingang@hydro-lang.example", "Dachser", "DX4471190"),
    ("LS-70412", "einkauf@pumpenbau-seidl.example", "Schenker", "SK8810023"),
    ("LS-70413", "einkauf@pumpenbau-seidl.example", "Dachser", "DX4471204"),
)


def einrichten(probe: bool = False) -> None:
    with modelle.db.connection_context():
        modelle.db.create_tables([modelle.Avis, modelle.Unzustellbar], safe=True)
        leer = not modelle.Avis.select().exists()
    if probe and leer:
        for zeile in PROBE:
            modelle.anlegen(*zeile, angelegt_am=1_757_490_000)


if __name__ == "__main__":
    einrichten("--probe" in sys.argv[1:])

"""Legt das Schema an: `python -m fibu.einrichten`; mit `--muster` auch drei Musterbelege in eine leere Datenbank."""

import argparse

from fibu import belege
from fibu.datenbank import lesen, schema_anlegen

MUSTER = (
    ("Schrauben Maier KG", "3400", 119_000),
    ("Stadtwerke Heilbronn", "4240", 38_755),
    ("Spedition Krüger GmbH", "4730", 64_260),
)


def main() -> None:
    argumente = argparse.ArgumentParser(description=__doc__)
    argumente.add_argument("--muster", action="store_true")
    wahl = argumente.parse_args()
    schema_anlegen()
    if wahl.muster:
        with lesen() as db:
            leer = db.execute("SELECT 1 FROM belege LIMIT 1").fetchone() is None
        if leer:
            for kreditor, konto, betrag in MUSTER:
                belege.erfassen(kreditor, konto, betrag, jahr=2025)


if __name__ == "__main__":
    main()

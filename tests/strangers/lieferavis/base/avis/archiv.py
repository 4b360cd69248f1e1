"""Das Archiv: eine Datei je Mail, unter ihrem Schlüssel; wer sie noch einmal schreibt, ändert nichts."""

import os
import tempfile

from avis import konfig


def ablegen(schluessel: str, inhalt: str) -> None:
    ziel = konfig.ARCHIV / schluessel
    ziel.parent.mkdir(parents=True, exist_ok=True)
    griff, zwischen = tempfile.mkstemp(dir=ziel.parent, prefix=".", suffix=".neu")
    try:
        with os.fdopen(griff, "w", encoding="utf-8") as datei:
            datei.write(inhalt)
            datei.flush()
            os.fsync(datei.fileno())
        os.replace(zwischen, ziel)
    except BaseException:
        if os.path.exists(zwischen):
            os.unlink(zwischen)
        raise

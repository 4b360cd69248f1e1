"""Was Huey ausführt."""

from typing import Any

from avis import konfig
from avis.auftrag import AvisVersand
from avis.warteschlange import huey

versand = AvisVersand()


@huey.task(retries=konfig.MAX_VERSUCHE - 1, retry_delay=konfig.ERSTE_WARTEZEIT, retry_backoff=2, context=True)
def avis_versenden(nutzlast: dict[str, Any], task: Any = None) -> None:
    """Kündigt eine Lieferung an: Mail an den Kunden, Kopie ins Archiv."""
    versand.ausfuehren(nutzlast, letzte_zustellung=task is not None and task.retries == 0)

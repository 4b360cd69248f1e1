"""RQ: einreihen, und nachsehen, ob ein Auftrag noch unterwegs ist."""

from redis import Redis
from rq import Callback, Queue, Retry

from fibu import einstellungen

# Eine Zustellung mehr, als es Versuche gibt: stirbt im letzten Versuch der Prozess, ruft RQ den Callback nicht.
# Die Zustellung in Reserve bucht nicht mehr, sie legt den Klärfall an.
RESERVE = 1


def queue() -> Queue:
    return Queue(einstellungen.WARTESCHLANGE, connection=Redis.from_url(einstellungen.redis_url()))


def auftrag_id(beleg_id: int) -> str:
    return f"beleg-buchen-{beleg_id}"


def einreihen(beleg_id: int) -> None:
    queue().enqueue(
        "fibu.buchung.beleg_buchen",
        kwargs={"beleg_id": beleg_id},
        job_id=auftrag_id(beleg_id),
        retry=Retry(
            max=einstellungen.MAX_VERSUCHE - 1 + RESERVE,
            interval=[*einstellungen.WARTEZEITEN, einstellungen.WARTEZEITEN[-1]],
        ),
        on_failure=Callback("fibu.buchung.fehlschlag"),
        job_timeout=180,
        result_ttl=0,
    )


def unterwegs() -> set[str]:
    """Die Aufträge, die RQ noch in der Hand hat: wartend, auf Termin oder in Arbeit.

    Das Register der laufenden Aufträge räumt dabei die ab, deren Arbeiter verschwunden ist, und reiht sie wieder ein.
    """
    q = queue()
    in_arbeit = q.started_job_registry.get_job_ids()
    return {*in_arbeit, *q.scheduled_job_registry.get_job_ids(), *q.get_job_ids()}

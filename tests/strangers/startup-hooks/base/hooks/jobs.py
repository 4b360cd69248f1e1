import json
import logging

from huey import crontab

from . import partners
from .db import one, tx
from .jobkit import job
from .queue import huey

log = logging.getLogger("hooks.jobs")


class BadPayload(Exception):
    pass


class UnknownDelivery(Exception):
    pass


class PartnerInactive(Exception):
    pass


def mark_dead(db, payload):
    db.execute(
        "update deliveries set status = 'dead' where event_id = ? and partner = ? and status = 'pending'",
        (str(payload.get("event_id")), str(payload.get("partner"))),
    )


@job(attempts=5, delay=2, on_dead=mark_dead)
def deliver(event_id, partner):
    """POST one event to one partner, and bill the call."""
    if not (isinstance(event_id, str) and isinstance(partner, str) and event_id and partner):
        raise BadPayload(f"{event_id!r} {partner!r}")
    row = one(
        "select d.status, e.kind, e.body, p.url, p.secret, p.active from deliveries d"
        " join events e on e.id = d.event_id join partners p on p.name = d.partner"
        " where d.event_id = ? and d.partner = ?",
        event_id, partner,
    )
    if row is None:
        raise UnknownDelivery(f"{event_id} for {partner}")
    if row["status"] != "pending":
        log.info("nothing to do", extra={"event_id": event_id, "partner": partner, "status": row["status"]})
        return
    if not row["active"]:
        raise PartnerInactive(partner)
    body = json.dumps({"id": event_id, "kind": row["kind"], "data": json.loads(row["body"])})
    receipt = partners.post(row["url"], body, row["secret"], webhook_id=f"{event_id}:{partner}")
    with tx() as db:
        won = db.execute(
            "update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ? and status = 'pending'",
            (receipt, event_id, partner),
        ).rowcount
        if won:
            db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))


@huey.periodic_task(crontab(minute="*/5"))
def sweep():
    """huey forgets a task when it hands it out; pending rows are the truth."""
    from .events import publish_pending

    publish_pending()

"""What the roadside feed calls."""
import logging
from datetime import datetime

from tollgate import charges
from tollgate.charging import charge_passage
from tollgate.db import connect

log = logging.getLogger(__name__)


def report_passage(
    passage_ref: str, plate: str, gantry: str, passed_at: str, amount_cents: int
) -> None:
    """Gantries repeat themselves when the line was down; a passage is ordered once.

    The passage, its open charge and the job commit together, or not at all.
    """
    with connect() as conn:
        conn.execute(
            "insert into passages (ref, plate, gantry, passed_at, amount_cents)"
            " values (%s, %s, %s, %s, %s) on conflict do nothing",
            (passage_ref, plate, gantry, datetime.fromisoformat(passed_at), amount_cents),
        )
        if charges.order(conn, passage_ref):
            job_id = charge_passage.configure(connection=conn).defer(passage_ref=passage_ref)
            log.info("Charge ordered", extra={"passage_ref": passage_ref, "job_id": job_id})

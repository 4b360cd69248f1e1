import hashlib
import json
import logging
import re

from celery import Task

from . import services
from .errors import BadMessage, DistributorAway, MailAway, Rejected
from .models import Parcel, reference

logger = logging.getLogger("parcels.tasks")

MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
STAGES = {
    DistributorAway: (Parcel.Status.PLANNED,),
    Rejected: (Parcel.Status.PLANNED,),
    MailAway: (Parcel.Status.ORDERED,),
}


def check(member_id, month) -> None:
    if type(member_id) is not int or not 0 < member_id < 2**63:
        raise BadMessage("member_id: a positive integer")
    if type(month) is not str or not MONTH.fullmatch(month):
        raise BadMessage("month: YYYY-MM")


class ParcelTask(Task):
    """Tells the log how a parcel's task goes on, and the dead letters how it ends."""

    def note(self, outcome, key, level=logging.INFO, **more):
        rest = "".join(f" {name}={value}" for name, value in more.items())
        logger.log(
            level,
            "order_parcel job_id=%s key=%s attempt=%d outcome=%s%s",
            self.request.id,
            key,
            self.request.retries + 1,
            outcome,
            rest,
        )

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.note("retry", self.name_of(args, kwargs)[0], logging.WARNING, reason=type(exc).__name__)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        key, parcel = self.name_of(args, kwargs)
        reason = f"{type(exc).__name__}: {exc}"[:200]
        letter = {"task": self.name, "task_id": task_id, "message": {"args": args, "kwargs": kwargs}, "reason": reason}
        buried = services.bury(key, parcel, STAGES.get(type(exc), services.OPEN), letter)
        self.note("dead" if buried else "over", key, logging.ERROR, reason=type(exc).__name__)

    @staticmethod
    def name_of(args, kwargs):
        try:
            (lambda member_id, month: check(member_id, month))(*args, **kwargs)
        except (BadMessage, TypeError):
            text = json.dumps([args, kwargs], sort_keys=True, default=str)
            return "bad-" + hashlib.sha256(text.encode()).hexdigest()[:16], None
        bound = dict(zip(("member_id", "month"), args), **kwargs)
        return reference(**bound), (bound["member_id"], bound["month"])

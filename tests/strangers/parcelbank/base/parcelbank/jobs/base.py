"""The Task that every job of the house derives from."""
import structlog
from celery import Task
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from parcelbank.models import DeadLetter
from parcelbank.uow import UnitOfWork

log = structlog.get_logger(__name__)


class HouseTask(Task):
    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    max_retries = 4

    def before_start(self, task_id, args, kwargs):
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            job=self.name, task_id=task_id, attempt=self.request.retries + 1, message=kwargs or list(args)
        )
        log.info("job.started")

    def on_success(self, retval, task_id, args, kwargs):
        log.info("job.succeeded", outcome=retval)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        log.warning("job.retrying", reason=repr(exc))

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        log.error("job.failed", reason=repr(exc))
        try:
            self.bury(exc, task_id, args, kwargs)
        except Exception:
            log.critical("job.not_buried", reason=repr(exc), exc_info=True)
            raise

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        structlog.contextvars.clear_contextvars()

    def bury(self, exc, task_id, args, kwargs):
        """The dead letter, and what the job's own rows say of it, in one transaction."""
        for last in (False, False, True):
            try:
                with UnitOfWork() as uow:
                    if self.close_books(uow, exc, kwargs):
                        uow.dead_letters.add_once(
                            DeadLetter(
                                message_id=task_id,
                                task=self.name,
                                message=kwargs or {"args": list(args)},
                                reason=repr(exc)[:500],
                                attempts=self.request.retries + 1,
                            )
                        )
                        uow.commit()
                return
            except (StaleDataError, IntegrityError):
                if last:
                    raise

    def close_books(self, uow: UnitOfWork, exc: Exception, kwargs: dict) -> bool:
        """Hook. False: somebody else has finished the work, there is nothing to bury."""
        return True

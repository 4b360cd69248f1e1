"""ghost: a follow-up message published within a transaction that is rolled back later."""

EVENT = "ghost"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "rentdesk", "id": "p-ghost-1", "kind": "mistake", "job": "collect-rent", "event": EVENT,
        "what": "A month is raised in one transaction, and each rent is published as soon as its row is there, since with "
                "on_commit the workers had nothing to do until all were through. Where a later tenancy (or the commit) "
                "fails, the rows are gone and the messages are not: collect_rent makes the charge anew by itself and debits "
                "tenants for a month that was never raised",
        "edits": [
            (
                "rents/monthly.py",
                '''            transaction.on_commit(lambda: publish(charge))
''',
                '''            publish(charge)
''',
            ),
            (
                "rents/monthly.py",
                '''def main(period):
    for tenancy_id in Tenancy.objects.filter(ended=False).values_list("pk", flat=True):
        raise_rent(tenancy_id, period)
''',
                '''def main(period):
    """All of them, or, where something is wrong with the month, none."""
    with transaction.atomic():
        for tenancy_id in Tenancy.objects.filter(ended=False).values_list("pk", flat=True):
            raise_rent(tenancy_id, period)
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "beanroast", "id": "p-ghost-2", "kind": "mistake", "job": "ship-order", "event": EVENT,
        "what": "submit() enqueues at once instead of on_commit (a caller with a transaction of its own around it had waited "
                "for its message). Rolled back, the order is still 'paid' and has no run; the message makes the run anew, "
                "meets NotPacked and buries it as failed. When the box is really packed, submit finds a run that is over: "
                "the order is never enqueued, no sweep sees it, no parcel leaves",
        "edits": [
            (
                "jobs/house.py",
                '''    """Have a job done once the current transaction has been committed."""
''',
                '''    """Have a job done."""
''',
            ),
            ("jobs/house.py", "        transaction.on_commit(functools.partial(nudge, run))\n", "        nudge(run)\n"),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "claims", "id": "p-ghost-3", "kind": "mistake", "job": "pay-instalment", "event": EVENT,
        "what": "The release sends the message itself and uses the outbox only when the broker is away ('a row for each "
                "message that went out fine is a waste'), all in one unit of work. If its commit fails (the clerk's colleague "
                "holds the lock, the process dies) the instalment is not released, yet the actor pays whatever is approved",
        "edits": [
            (
                "backoffice/service/release.py",
                '''        if payout.release():
            uow.outbox.add(OutboxMessage(claim_no, instalment))
        uow.commit()
    publish_pending()
''',
                '''        if payout.release():
            fields = {"claim_no": claim_no, "instalment": instalment}
            try:
                pay_instalment.send(**fields)
            except Exception:
                log.exception("payout not published, the relay will", extra=fields)
                uow.outbox.add(OutboxMessage(claim_no, instalment))
        uow.commit()
''',
            ),
            (
                "backoffice/service/release.py",
                '"""The clerk\'s side: an instalment is released, and its message goes out through the outbox."""',
                '"""The clerk\'s side: an instalment is released, and its message goes out, if need be through the outbox."""',
            ),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "cloudkeys", "id": "p-ghost-4", "kind": "mistake", "job": "provision-key", "event": EVENT,
        "what": "submit() publishes inside its transaction, so that a request is 'queued' only when it is in the queue. Where "
                "the commit fails the portal tells the tenant so and the request is 'new' again; but new is open for the "
                "job as well, and the ghost provisions a key that nobody has submitted",
        "edits": [
            (
                "cloudkeys/requests.py",
                '''    """Queue a request. Harmless to call again; the sweep publishes what we do not get to."""
    engine = make_engine()
    try:
        async with make_sessions(engine).begin() as session:
            await session.execute(
                update(KeyRequest)
                .where(KeyRequest.id == request_id, KeyRequest.status == NEW)
                .values(status=QUEUED)
            )
            status = await session.scalar(select(KeyRequest.status).where(KeyRequest.id == request_id))
        if status is None:
            raise LookupError(request_id)
        # committed: from here on the worker, or the sweep, finds it
        if status == QUEUED:
            async with open_redis() as redis:
                published = await publish_provisioning(redis, request_id)
            log.info("request submitted", request_id=request_id, published=published)
    finally:
''',
                '''    """Queue a request. Harmless to call again; the sweep publishes what Redis did not take."""
    engine = make_engine()
    try:
        async with make_sessions(engine).begin() as session:
            status = await session.scalar(select(KeyRequest.status).where(KeyRequest.id == request_id))
            if status is None:
                raise LookupError(request_id)
            if status not in (NEW, QUEUED):
                return
            try:
                async with open_redis() as redis:
                    published = await publish_provisioning(redis, request_id)
                log.info("request submitted", request_id=request_id, published=published)
            except (RedisError, OSError) as exc:
                log.warning("request not published, the sweep will", request_id=request_id, reason=repr(exc))
            await session.execute(update(KeyRequest).where(KeyRequest.id == request_id, KeyRequest.status == NEW).values(status=QUEUED))
    finally:
''',
            ),
            (
                "cloudkeys/requests.py",
                "import structlog\nfrom sqlalchemy import select, update\n",
                "import structlog\nfrom redis.exceptions import RedisError\nfrom sqlalchemy import select, update\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "parcelbank", "id": "p-ghost-5", "kind": "mistake", "job": "send-payout", "event": EVENT,
        "what": "A hook of SQLAlchemy publishes new outbox messages when they are flushed (taken for the commit), so that "
                "nobody has to call the relay; a release whose commit then fails or is rolled back by a stale version has sent its "
                "message, and the worker pays a payout that is approved but was not released",
        "edits": [
            (
                "parcelbank/uow.py",
                '''class PayoutRepository:
''',
                '''@event.listens_for(Session, "before_flush")
def _publish(session: Session, _flush, _instances) -> None:
    """What was written into the outbox goes out by itself; beat looks after what the broker did not take."""
    from parcelbank.app import app

    for message in [row for row in session.new if isinstance(row, OutboxMessage)]:
        try:
            app.send_task(message.task, kwargs=message.kwargs)
        except Exception:
            log.warning("outbox.not_published", job=message.task, exc_info=True, **message.kwargs)
        else:
            message.published_at = utcnow()
            log.info("outbox.published", job=message.task, **message.kwargs)


class PayoutRepository:
''',
            ),
            (
                "parcelbank/uow.py",
                '''from sqlalchemy import create_engine, or_, select
''',
                '''import structlog
from sqlalchemy import create_engine, event, or_, select
''',
            ),
            (
                "parcelbank/uow.py",
                '''    APPROVED, SENDING, DeadLetter, OutboxMessage, Payout, UnknownPayout,
)
''',
                '''    APPROVED, SENDING, DeadLetter, OutboxMessage, Payout, UnknownPayout, utcnow,
)

log = structlog.get_logger(__name__)
''',
            ),
            (
                "parcelbank/payouts.py",
                '''        uow.outbox.add_once(SEND_PAYOUT, payout_ref, {"payout_ref": payout_ref})
        uow.commit()
    try:
        publish_pending()
    except Exception:
        # It lies in the outbox: beat publishes it within half a minute.
        log.warning("outbox.not_published", payout_ref=payout_ref, exc_info=True)
''',
                '''        uow.outbox.add_once(SEND_PAYOUT, payout_ref, {"payout_ref": payout_ref})
        uow.commit()
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "parcelbank", "id": "ok-ghost-1", "kind": "correct", "job": "send-payout", "event": EVENT,
        "what": "The session notes at the flush what is new in its outbox and publishes it after the commit, by SQLAlchemy's "
                "events; a rollback forgets the notes, and beat's relay sends what a death in between has left",
        "edits": [
            (
                "parcelbank/uow.py",
                '''class PayoutRepository:
''',
                '''@event.listens_for(Session, "after_flush")
def _note(session: Session, _flush) -> None:
    new = [row for row in session.new if isinstance(row, OutboxMessage)]
    session.info.setdefault("noted", []).extend((row.id, row.task, dict(row.kwargs)) for row in new)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop("noted", None)


@event.listens_for(Session, "after_commit")
def _publish(session: Session) -> None:
    """Only now does anybody else see the rows. What fails here is left to beat."""
    from parcelbank.app import app

    for id_, task, kwargs in session.info.pop("noted", []):
        try:
            app.send_task(task, kwargs=kwargs)
            with engine().begin() as connection:
                connection.execute(update(OutboxMessage).where(OutboxMessage.id == id_).values(published_at=utcnow()))
        except Exception:
            log.warning("outbox.not_published", job=task, exc_info=True, **kwargs)
        else:
            log.info("outbox.published", job=task, **kwargs)


class PayoutRepository:
''',
            ),
            (
                "parcelbank/uow.py",
                '''from sqlalchemy import create_engine, or_, select
''',
                '''import structlog
from sqlalchemy import create_engine, event, or_, select, update
''',
            ),
            (
                "parcelbank/uow.py",
                '''    APPROVED, SENDING, DeadLetter, OutboxMessage, Payout, UnknownPayout,
)
''',
                '''    APPROVED, SENDING, DeadLetter, OutboxMessage, Payout, UnknownPayout, utcnow,
)

log = structlog.get_logger(__name__)
''',
            ),
            (
                "parcelbank/payouts.py",
                '''        uow.outbox.add_once(SEND_PAYOUT, payout_ref, {"payout_ref": payout_ref})
        uow.commit()
    try:
        publish_pending()
    except Exception:
        # It lies in the outbox: beat publishes it within half a minute.
        log.warning("outbox.not_published", payout_ref=payout_ref, exc_info=True)
''',
                '''        uow.outbox.add_once(SEND_PAYOUT, payout_ref, {"payout_ref": payout_ref})
        uow.commit()  # which publishes it, see uow.py
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "streambox", "id": "ok-ghost-2", "kind": "correct", "job": "deliver-webhook", "event": EVENT,
        "what": "A transaction has a list of what is to be done once it is committed; whoever writes the rows puts the "
                "publishing on it, a rollback throws the list away, and the sweep does what a death after the commit left",
        "edits": [
            (
                "streambox/db.py",
                '''@asynccontextmanager
async def transaction():
    async with connect() as db:
        await db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            await db.rollback()
            raise
        await db.commit()
''',
                '''@asynccontextmanager
async def transaction():
    """db.afterwards: functions to be called, in turn, once it is committed. Rolled back, nobody calls them."""
    async with connect() as db:
        db.afterwards = []
        await db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            await db.rollback()
            raise
        await db.commit()
    for call in db.afterwards:
        await call()
''',
            ),
            (
                "streambox/videos.py",
                '''        await add_delivery(db, video, event)
    await publish(video_id, event)
''',
                '''        await add_delivery(db, video, event)
        db.afterwards.append(partial(publish, video_id, event))
''',
            ),
            ("streambox/videos.py", "import time\n\nfrom loguru", "import time\nfrom functools import partial\n\nfrom loguru"),
        ],
    },
]

VARIANTS += [{'base': 'rentdesk',
  'id': 'q-ghost-1',
  'kind': 'mistake',
  'job': 'collect-rent',
  'event': 'ghost',
  'what': 'raise_rent publishes after its own atomic block instead of on_commit, and views run with ATOMIC_REQUESTS: in the view that '
          "block is only a savepoint. Sequence: POST .../rents/2026-12/raise; the message is in Redis while the request's transaction is "
          'open; the request fails after that, or its commit does (500, rollback: there is no charge). The worker takes the message, '
          'open_charge creates the charge from it and Sammelwerk debits the tenant: money is taken for a rent that nobody has charged. '
          'Same for any caller of raise_rent that has a transaction. Base: on_commit publishes nothing after a rollback.',
  'edits': [('rents/monthly.py',
             '        if charge.published_at is None and charge.status == RentCharge.Status.DUE:\n'
             '            transaction.on_commit(lambda: publish(charge))\n'
             '    return charge\n',
             '    if charge.published_at is None and charge.status == RentCharge.Status.DUE:\n'
             '        publish(charge)\n'
             '    return charge\n'),
            ('rentdesk/settings.py',
             '        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},\n',
             '        "ATOMIC_REQUESTS": True,\n        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},\n')]}]

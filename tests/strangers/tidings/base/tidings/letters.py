"""The arq job that mails one issue to one reader."""

import asyncio
import json
import random
from typing import Any

import structlog
from arq import Retry
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from .editions import NoSuchLetter
from .mailhouse import AddressRefused
from .models import DeadLetter, Delivery, Issue, Subscriber, now
from .store import unit

MAX_TRIES = 4
SEND_TIMEOUT = 20
log = structlog.get_logger("tidings.letters")


class Letter(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    issue_id: int = Field(ge=1, lt=2**63)
    subscriber_id: int = Field(ge=1, lt=2**63)


def backoff(job_try: int) -> float:
    return min(300, 20 * 3 ** (job_try - 1)) * random.uniform(0.5, 1)


async def deliver_letter(ctx: dict[str, Any], **message: Any) -> None:
    """arq runs it again after a Retry or when its worker died; any other exception is final for arq."""
    context = {key: message.get(key) for key in ("issue_id", "subscriber_id")}
    with structlog.contextvars.bound_contextvars(job="deliver-letter", job_try=ctx["job_try"], **context):
        try:
            letter = Letter.model_validate(message)
            if ctx["job_try"] > MAX_TRIES:
                raise TimeoutError("the worker died in the last try")
            await _deliver(ctx["mail"], letter)
        except (ValidationError, NoSuchLetter, AddressRefused) as exc:
            await _bury(message, exc)
        except Exception as exc:
            if ctx["job_try"] >= MAX_TRIES:
                await _bury(message, exc)
                return
            wait = backoff(ctx["job_try"])
            log.warning("letter_delayed", error=repr(exc), wait=round(wait))
            raise Retry(defer=wait) from exc


async def _deliver(mail: Any, letter: Letter) -> None:
    draft = await unit(_draft, letter)
    if draft["status"] != "pending":
        log.info("letter_was_settled", status=draft["status"])
        return
    async with asyncio.timeout(SEND_TIMEOUT):
        house_id = await mail.send(
            to=draft["to"], subject=draft["subject"], html=draft["html"], token=draft["token"]
        )
    await unit(_sent, letter, house_id)
    log.info("letter_sent", house_id=house_id)


def _draft(session: Session, letter: Letter) -> dict[str, Any]:
    """Everything the letter needs. Its token is drawn once and committed before it is used."""
    issue = session.get(Issue, letter.issue_id)
    reader = session.get(Subscriber, letter.subscriber_id)
    if issue is None or reader is None:
        raise NoSuchLetter(letter)
    session.execute(insert(Delivery).values(**letter.model_dump()).on_conflict_do_nothing())
    delivery = session.scalars(select(Delivery).filter_by(**letter.model_dump())).one()
    if delivery.status == "pending" and not reader.active:
        delivery.status = "skipped"
    return {
        "status": delivery.status,
        "token": delivery.token,
        "to": reader.email,
        "subject": issue.subject,
        "html": issue.html,
    }


def _sent(session: Session, letter: Letter, house_id: str) -> None:
    session.execute(
        update(Delivery)
        .filter_by(**letter.model_dump())
        .where(Delivery.status != "sent")
        .values(status="sent", house_id=house_id, sent_at=now())
    )


async def _bury(message: dict[str, Any], exc: Exception) -> None:
    try:
        buried = await unit(_give_up, message, exc)
    except Exception as trouble:  # the store is away; arq would forget the letter
        log.exception("letter_not_buried", message=message)
        raise Retry(defer=30) from trouble
    if buried:
        log.error("letter_given_up", error=repr(exc), message=message)


def _give_up(session: Session, message: dict[str, Any], exc: Exception) -> bool:
    if not isinstance(exc, ValidationError):
        this = {key: message[key] for key in ("issue_id", "subscriber_id")}
        session.execute(update(Delivery).filter_by(**this, status="pending").values(status="failed"))
        if session.scalar(select(Delivery.status).filter_by(**this)) == "sent":
            return False  # by another delivery of the same message
    payload = json.dumps(message, sort_keys=True, default=str)
    session.execute(
        insert(DeadLetter)
        .values(job="deliver-letter", payload=payload, reason=repr(exc))
        .on_conflict_do_update(index_elements=["job", "payload"], set_={"reason": repr(exc), "at": now()})
    )
    return True

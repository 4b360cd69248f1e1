import time

from billiard.exceptions import SoftTimeLimitExceeded
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from .jobs import HOOKS, MAX_ATTEMPTS, Job, Permanent, bury, current_claim, logger, once
from .models import Claim, Entry, Session, User, Workout, insert_ignore
from .push import DeviceGone, PushRejected, PushUnavailable, push_service
from .worker import app

POINTS = {"run": 3, "swim": 4, "yoga": 2}  # per minute
KEY = "award:{workout_id}"
STALE = 15 * 60


class UnknownWorkout(Permanent):
    pass


class NoSuchDevice(Permanent):
    """The push service will never take it."""


class AwardMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    workout_id: int = Field(ge=1)


@app.task(
    bind=True,
    base=Job,
    name="fitness.award_workout",
    key_format=KEY,
    message=AwardMessage,
    typing=False,  # @once checks the message, and buries what is wrong
    autoretry_for=(PushUnavailable, DBAPIError, SoftTimeLimitExceeded),
    max_retries=MAX_ATTEMPTS - 1,
    retry_backoff=10,
    retry_backoff_max=600,
    retry_jitter=True,
)
@once(key=KEY, message=AwardMessage)
def award_workout(self, workout_id):
    claim = current_claim()

    with Session.begin() as s:
        s.execute(
            update(Workout)
            .where(Workout.id == workout_id, Workout.status == "synced")
            .values(status="submitted", touched_at=time.time())
        )
        workout = s.get(Workout, workout_id)
        if workout is None:
            raise UnknownWorkout(workout_id)
        device_token = s.get(User, workout.user_id).device_token

    points = workout.minutes * POINTS.get(workout.kind, 1)
    with Session.begin() as s:
        claim.renew(s)
        credited = s.execute(
            insert_ignore(Entry).values(workout_id=workout_id, user_id=workout.user_id, points=points)
        ).rowcount
        if credited:
            s.execute(update(User).where(User.id == workout.user_id).values(points=User.points + points)
                      .execution_options(synchronize_session=False))
        s.execute(
            update(Workout)
            .where(Workout.id == workout_id, Workout.status == "submitted")
            .values(status="credited", touched_at=time.time())
        )

    pushed = "none"
    if device_token:
        try:
            push_service.send(
                device_token=device_token,
                text="+%d points for your %s!" % (points, workout.kind),
                collapse_id="workout-%d" % workout_id,
            )
            pushed = "sent"
        except DeviceGone:
            pushed = "gone"
        except PushRejected as exc:
            raise NoSuchDevice(str(exc)) from exc

    with Session.begin() as s:
        claim.finish(s)
        s.execute(update(Workout).where(Workout.id == workout_id)
                  .values(status="announced", push=pushed, touched_at=time.time()))


def workout_died(s, message):
    workout_id = message.get("workout_id")
    if isinstance(workout_id, int):
        s.execute(
            update(Workout)
            .where(Workout.id == workout_id, Workout.status != "announced")
            .values(status="failed", touched_at=time.time())
        )


HOOKS["award"] = workout_died


@app.task(name="fitness.sweep")
def sweep():
    """Workouts that were submitted and then stood still: send them again, or bury them
    if their attempts are used up. Sending again what is still on its way is harmless."""
    now = time.time()
    with Session() as s:
        still = s.scalars(
            select(Workout)
            .where(Workout.status.in_(["submitted", "credited"]), Workout.touched_at < now - STALE)
            .order_by(Workout.touched_at).limit(500)
        ).all()
        claims = {w.id: s.get(Claim, KEY.format(workout_id=w.id)) for w in still}
    for workout in still:
        claim, message = claims[workout.id], {"workout_id": workout.id}
        if claim and claim.lease_until > now:
            continue
        if claim and claim.attempts >= MAX_ATTEMPTS:
            if bury(claim.key, message, "OutOfAttempts"):
                logger.error("job=sweep key=%s attempt=%d outcome=dead", claim.key, claim.attempts)
            continue
        award_workout.apply_async(kwargs=message)
        with Session.begin() as s:
            s.execute(update(Workout).where(Workout.id == workout.id).values(touched_at=now))
        logger.info("job=sweep key=%s attempt=- outcome=sent-again", KEY.format(**message))

"""What the HTTP layer calls."""
import time

from sqlalchemy import update

from .models import Session, Workout
from .tasks import award_workout


def submit_workout(workout_id):
    """The user taps "done". Tapping twice is fine."""
    with Session.begin() as s:
        s.execute(
            update(Workout)
            .where(Workout.id == workout_id, Workout.status.in_(["synced", "submitted"]))
            .values(status="submitted", touched_at=time.time())
        )
        workout = s.get(Workout, workout_id)
    if workout is None:
        raise LookupError("no workout %s" % workout_id)
    if workout.status == "submitted":
        award_workout.delay(workout_id=workout_id)
    return workout.status

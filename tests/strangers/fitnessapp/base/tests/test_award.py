import threading
import time

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from fitness import api, jobs, tasks
from fitness.jobs import Busy
from fitness.models import Claim, DeadLetter, Entry, Session, User, Workout
from fitness.push import DeviceGone, PushRejected, PushUnavailable
from fitness.tasks import award_workout, sweep


def run(**kwargs):
    return award_workout.apply(kwargs=kwargs)


def look():
    with Session() as s:
        w = s.get(Workout, 11)
        return w.status, w.push, s.get(User, 1).points, s.scalar(select(func.count()).select_from(Entry))


def dead():
    with Session() as s:
        return s.execute(select(DeadLetter.key, DeadLetter.error)).all()


def expire():
    with Session.begin() as s:
        s.execute(update(Claim).values(lease_until=0))


@pytest.fixture
def sent(monkeypatch):
    sent = []
    monkeypatch.setattr(award_workout, "apply_async", lambda args=None, kwargs=None, **o: sent.append(kwargs))
    return sent


DONE = ("announced", "sent", 90, 1)


def test_points_and_push(phone):
    run(workout_id=11)
    run(workout_id=11)
    assert look() == DONE
    assert phone.buzzes == [("dev-aaaa", "+90 points for your run!", "workout-11")]


def test_two_at_once(phone):
    seen = []

    def other():
        try:
            award_workout(workout_id=11)
        except Busy as exc:
            seen.append(exc.seconds)

    def beside():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    phone.trouble = [beside]
    run(workout_id=11)
    assert len(seen) == 1 and 55 < seen[0] <= 61
    assert look() == DONE and len(phone.buzzes) == 1


def test_fifth_attempt(phone):
    phone.trouble = [PushUnavailable("503")] * 4
    run(workout_id=11)
    assert look() == DONE and len(phone.buzzes) == 5 and not dead()


def test_gives_up(phone):
    phone.trouble = [PushUnavailable("503")] * 9
    run(workout_id=11)
    assert len(phone.buzzes) == 5 and dead() == [("award:11", "PushUnavailable")]
    assert look() == ("failed", None, 90, 1)
    run(workout_id=11)
    assert len(phone.buzzes) == 5


def test_rejected_and_gone(phone):
    phone.trouble = [PushRejected("400"), DeviceGone()]
    run(workout_id=11)
    run(workout_id=12)
    assert dead() == [("award:11", "NoSuchDevice")] and len(phone.buzzes) == 2
    with Session() as s:
        assert (s.get(Workout, 12).status, s.get(Workout, 12).push) == ("announced", "gone")


@pytest.mark.parametrize("message", [{}, {"workout_id": "11"}, {"workout_id": 0}, {"workout_id": 99},
                                     {"workout_id": 11, "bonus": True}])
def test_bad_messages(phone, message):
    run(**message)
    run(**message)
    assert len(dead()) == 1 and not phone.buzzes and look()[0] == "synced"


def test_bad_message_while_the_database_is_away(phone, monkeypatch):
    bury, times = jobs.bury, []

    def flaky(*args):
        times.append(1)
        if len(times) < 6:
            raise OperationalError("insert", {}, Exception("gone"))
        return bury(*args)

    monkeypatch.setattr(jobs, "bury", flaky)
    run(workout_id=11, bonus=True)
    assert len(times) == 6 and len(dead()) == 1 and look()[0] == "synced"
    run(workout_id=11)
    assert look() == DONE


def test_killed_after_the_push(phone):
    phone.trouble = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        award_workout(workout_id=11)
    with pytest.raises(Busy):
        award_workout(workout_id=11)
    expire()
    run(workout_id=11)
    assert look() == DONE and len(phone.buzzes) == 2


def test_killed_every_time(phone):
    for _ in range(5):
        phone.trouble = [KeyboardInterrupt()]
        with pytest.raises(KeyboardInterrupt):
            award_workout(workout_id=11)
        expire()
    run(workout_id=11)
    assert dead() == [("award:11", "OutOfAttempts")] and len(phone.buzzes) == 5


def test_slow_worker_loses_its_claim(phone):
    """Its lease runs out in the push, another does the job, it comes back: no harm."""
    def other():
        expire()
        thread = threading.Thread(target=award_workout, kwargs={"workout_id": 11})
        thread.start()
        thread.join()
    phone.trouble = [other]
    run(workout_id=11)
    assert look() == DONE


def test_success_beside_a_burial(phone):
    phone.trouble = [lambda: jobs.bury("award:11", {"workout_id": 11}, "PushUnavailable")]
    run(workout_id=11)
    assert look() == DONE and not dead()
    assert not jobs.bury("award:11", {"workout_id": 11}, "PushUnavailable")


def test_database_away_at_the_end(phone, monkeypatch):
    finish, times = jobs.Held.finish, []

    def flaky(self, s):
        times.append(1)
        if len(times) == 1:
            raise OperationalError("update", {}, Exception("gone"))
        finish(self, s)

    monkeypatch.setattr(jobs.Held, "finish", flaky)
    run(workout_id=11)
    assert look() == DONE and len(phone.buzzes) == 2


def test_submit_and_sweep(phone, sent):
    assert api.submit_workout(11) == "submitted"
    api.submit_workout(11)
    sweep()
    assert sent == [{"workout_id": 11}] * 2
    with Session.begin() as s:
        s.execute(update(Workout).values(touched_at=time.time() - 3600))
    sweep()
    sweep()
    assert sent == [{"workout_id": 11}] * 3
    run(workout_id=11)
    assert look() == DONE and api.submit_workout(11) == "announced" and len(sent) == 3


def test_sweep_buries(phone, sent):
    api.submit_workout(11)
    with Session.begin() as s:
        s.add(Claim(key="award:11", state="held", owner="x", lease_until=1, attempts=5))
        s.execute(update(Workout).values(touched_at=1))
    sweep()
    assert dead() == [("award:11", "OutOfAttempts")] and look()[0] == "failed" and len(sent) == 1


def test_log_has_no_token(phone, caplog):
    caplog.set_level("DEBUG")
    phone.trouble = [PushUnavailable("503")]
    run(workout_id=11)
    assert "key=award:11 attempt=2 outcome=done" in caplog.text and "dev-aaaa" not in caplog.text

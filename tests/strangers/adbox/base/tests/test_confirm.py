import smtplib
import time

import httpx
import pytest

from adbox import confirmations, db, desk, rescue
from adbox.jobs import confirm_ad, huey
from adbox.locks import only_one


def one(sql):
    with db.transaction() as conn:
        return tuple(conn.execute(sql).fetchone())


def status(code):
    request = httpx.Request("POST", "https://push.example")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(code, request=request))


def run(**message):
    """Run a task as the consumer does."""
    huey.execute(confirm_ad.s(**message))
    return one("select state, tries from confirmations") if one("select count(*) from confirmations")[0] else None


def test_once(world):
    assert run(ref="KA-0001") == ("done", 0)
    assert run(ref="KA-0001") == ("done", 0)
    assert world.done == ["mail", "push"]


def test_push_is_down(world):
    world.trouble["push"] = [status(503)]
    assert run(ref="KA-0001") == ("open", 1)
    assert huey.scheduled_count() == 1
    assert run(ref="KA-0001") == ("done", 1)
    assert world.done == ["mail", "push", "push"]


def test_mail_stays_down(world):
    world.trouble["mail"] = [smtplib.SMTPDataError(451, "later")] * 9
    for _ in range(6):
        state = run(ref="KA-0001")
    assert state == ("dead", 4) and len(world.done) == 4
    assert "451" in one("select reason from graveyard")[0]


def test_push_refused_and_known(world):
    world.trouble["push"] = [status(400), status(409)]
    assert run(ref="KA-0001") == ("dead", 0)
    huey.execute(confirm_ad.s(ref="KA-0002"))
    assert one("select count(*) from confirmations where state = 'done'") == (1,)


@pytest.mark.parametrize("message", [{}, {"ref": 1}, {"ref": "KA-1"}, {"ref": "KA-0001", "x": 1}])
def test_malformed(message, world):
    run(**message)
    assert one("select count(*), max(ref) from graveyard") == (1, None) and not world.done


def test_two_at_once(world):
    with only_one("KA-0001"):
        confirm_ad.call_local(ref="KA-0001")
    assert not world.done


def test_crash_after_crash():
    for _ in range(3):
        confirmations.begin("KA-0001")
    assert run(ref="KA-0001") == ("dead", 0)


def test_accept_and_rescue(monkeypatch):
    desk.accept("KA-0001")
    assert huey.pending_count() == 1
    huey.flush()
    rescue.rescue_stuck()
    assert huey.pending_count() == 0
    later = time.time() + 300
    monkeypatch.setattr(time, "time", lambda: later)
    rescue.rescue_stuck()
    assert huey.pending_count() == 1

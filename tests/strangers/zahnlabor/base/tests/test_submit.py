import httpx
import pytest
from sqlalchemy import func, select, update

from zahnlabor import clock, desk, mill, tables
from zahnlabor.errors import MillRejected, MillUnavailable
from zahnlabor.milling import submit_work_order
from zahnlabor.tables import dead_letters, work_orders


def order(database, order_id=1):
    with database.begin() as conn:
        row = conn.execute(select(work_orders).where(work_orders.c.id == order_id)).one()
    return row.status, row.mill_job


def dead(database):
    with database.begin() as conn:
        return conn.scalar(select(func.count()).select_from(dead_letters))


def test_a_released_order_reaches_the_mill(database, machine, work):
    desk.release(1)
    work()
    assert order(database) == ("milling", "M-1")
    assert machine.posts == [
        ("ZL-1", {"teeth": ["11", "21"], "material": "zirconia", "shade": "A2", "model_file": "1.stl"})
    ]


def test_a_second_delivery_mills_nothing(database, machine, work):
    desk.release(1)
    submit_work_order.send(order_id=1)
    work()
    submit_work_order.send(order_id=1)
    work()
    assert order(database) == ("milling", "M-1")
    assert len(machine.posts) == 1


def test_a_lost_answer_is_asked_for(database, machine, work):
    machine.lost = [MillUnavailable("ReadTimeout")]
    desk.release(1)
    work()
    assert order(database) == ("milling", "M-1")
    assert len(machine.posts) == 1


def test_six_tries_and_then_a_dead_letter(database, machine, work):
    machine.errors = [MillUnavailable("HTTP 503")] * 9
    desk.release(1)
    work()
    assert order(database) == ("failed", None)
    assert dead(database) == 1
    assert len(machine.errors) == 3


def test_a_refused_order_is_not_tried_again(database, machine, work):
    machine.lost = [MillRejected("HTTP 422")]
    desk.release(1)
    work()
    assert (order(database)[0], dead(database), len(machine.posts)) == ("failed", 1, 1)


@pytest.mark.parametrize("message", [{}, {"order_id": "1"}, {"order_id": True}, {"order_id": 404}, {"order_id": 1, "rush": 1}])
def test_nonsense_is_buried(database, machine, work, message):
    submit_work_order.send(**message)
    work()
    assert (dead(database), machine.posts) == (1, [])


def test_the_sweep_sends_what_the_broker_did_not_get(database, machine, work, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(submit_work_order, "send", lambda **_: 1 / 0)
        desk.release(1)
    assert desk.sweep() == 1
    work()
    assert order(database) == ("milling", "M-1")
    monkeypatch.setattr(clock, "now", lambda real=clock.now: real() + 3600)
    assert desk.sweep() == 0


def test_logs_name_the_message_and_no_patient(database, machine, work, caplog):
    caplog.set_level("INFO")
    desk.release(1)
    work()
    lines = [r for r in caplog.records if r.name == "zahnlabor.milling"]
    assert {r.attempt for r in lines} == {1} and all(len(r.job_id) > 8 for r in lines)
    assert "Sommer" not in caplog.text and "Amsel" not in caplog.text


def test_409_means_that_the_mill_has_it():
    def answer(request):
        return httpx.Response(409) if request.method == "POST" else httpx.Response(200, json={"jobs": [{"number": "M-7"}]})

    client = mill.MillClient(httpx.Client(base_url="http://mill", transport=httpx.MockTransport(answer)))
    assert client.submit("ZL-1", ["11"], "pmma", "A1", "1.stl") == "M-7"


def test_an_order_that_kills_its_workers_ends(database, machine, work):
    with database.begin() as conn:
        conn.execute(update(work_orders).where(work_orders.c.id == 1).values(starts=12))
    desk.release(1)
    work()
    assert (order(database)[0], dead(database), machine.posts) == ("failed", 1, [])

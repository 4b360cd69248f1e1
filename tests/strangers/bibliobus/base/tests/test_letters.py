from datetime import timedelta

import pytest
from django.utils import timezone


@pytest.fixture
def m():
    from overdue import models

    return models


def state(m, pk=1):
    letter = m.Letter.objects.select_related("loan__reader").get(pk=pk)
    return letter.status, letter.loan.reader.owes_cents


def test_sends_once(m, printshop, work):
    from overdue import letters, tasks

    letters.release(1)
    letters.release(1)
    work()
    assert state(m) == ("sent", 250) and list(printshop.letters) == ["BB-1-1"]
    tasks.send_letter.enqueue(letter_id=1)
    work()
    assert state(m) == ("sent", 250) and printshop.calls == 1


def test_a_draft_is_not_sent(m, printshop, work):
    from overdue import tasks

    tasks.send_letter.enqueue(letter_id=2)
    work()
    assert state(m, 2) == ("draft", 0) and printshop.calls == 0


def test_lost_answer(m, printshop, work):
    from overdue import letters

    printshop.answers = ["lost"]
    letters.release(1)
    work()
    assert state(m) == ("queued", 0)
    work()
    assert state(m) == ("sent", 250) and printshop.calls == 2 and len(printshop.letters) == 1


def test_five_tries(m, printshop, work):
    from overdue import letters

    printshop.answers = [503] * 9
    letters.release(1)
    for _ in range(7):
        work()
    assert printshop.calls == 5 and state(m) == ("dead", 0)
    assert [(d.key, d.tries) for d in m.DeadLetter.objects.all()] == [("1", 5)]
    printshop.answers = []
    letters.revive(1)
    work()
    assert state(m) == ("sent", 250) and not m.DeadLetter.objects.exists()


def test_waits(m, printshop, work):
    from django_tasks_db.models import DBTaskResult

    from overdue import letters

    printshop.answers = [503]
    letters.release(1)
    before = timezone.now()
    work()
    again = DBTaskResult.objects.get(status="READY")
    assert timedelta(minutes=2) <= again.run_after - before < timedelta(minutes=3)


def test_refused(m, printshop, work):
    from overdue import letters

    printshop.answers = [422]
    letters.release(1)
    work()
    work()
    assert printshop.calls == 1 and state(m) == ("dead", 0) and m.DeadLetter.objects.count() == 1


@pytest.mark.parametrize("message", [{}, {"letter_id": "1"}, {"letter_id": 404}, {"letter_id": 1, "express": True}])
def test_bad_messages(m, printshop, work, message):
    from overdue import tasks

    tasks.send_letter.enqueue(**message)
    work()
    assert printshop.calls == 0 and m.DeadLetter.objects.count() == 1


def test_sweep(m, printshop, work):
    from django_tasks_db.models import DBTaskResult

    from overdue import letters
    from overdue.sweep import sweep_letters

    letters.release(1)
    assert sweep_letters() == 0
    m.Letter.objects.update(stirred_at=timezone.now() - timedelta(hours=1))
    assert sweep_letters() == 0
    DBTaskResult.objects.update(status="RUNNING")
    assert sweep_letters() == 1
    work()
    assert state(m) == ("sent", 250)


def test_overtaken(m, printshop, work):
    from overdue import letters

    letters.release(1)
    old = letters.begin(1)
    new = letters.begin(1)
    assert letters.put_off(old) is None and letters.bury("1", {}, "x", old) is False
    assert letters.finish(new) is True and letters.finish(old) is False
    assert state(m) == ("sent", 250)

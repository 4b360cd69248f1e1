import logging
from datetime import timedelta

import pytest
import urllib3
from django.db import OperationalError
from django.utils import timezone

from versand import burial, desk
from versand.actors import print_label
from versand.archive import ArchiveDown
from versand.labels import LabelRefused, LabelService, LabelServiceDown
from versand.models import DeadLetter, Shipment
from versand.sweep import sweep


def box(number="W-2001"):
    return Shipment.objects.get(order_number=number)


def dead():
    return list(DeadLetter.objects.values_list("key", "error"))


def test_prints_and_files(world, work):
    desk.close_box("W-2001")
    work()
    desk.close_box("W-2001")
    work()
    assert world.labels == ["label-W-2001"]
    assert world.bucket == {"labels/W-2001.pdf": b"%PDF-1.4\n"}
    assert (box().state, box().tracking) == ("labelled", "T-W-2001")


def test_second_delivery(world):
    print_label(order_number="W-2001")
    print_label(order_number="W-2001")
    assert len(world.labels) == 1 and box().attempts == 1


def test_two_at_once_use_one_key(world):
    world.trouble = [lambda: print_label(order_number="W-2001")]
    print_label(order_number="W-2001")
    assert set(world.labels) == {"label-W-2001"} and box().state == "labelled"


def test_archive_down_repeats_with_the_same_key(world, work):
    world.archive_trouble = [ArchiveDown("x")]
    desk.close_box("W-2001")
    work()
    assert world.labels == ["label-W-2001"] * 2 and box().state == "labelled" and not dead()


def test_sixth_attempt_works(world, work):
    world.trouble = [LabelServiceDown("503")] * 5
    desk.close_box("W-2001")
    work()
    assert box().state == "labelled" and not dead()


def test_gives_up_after_six_and_can_be_revived(world, work):
    world.trouble = [LabelServiceDown("503")] * 6
    desk.close_box("W-2001")
    work()
    assert len(world.labels) == 6 and box().state == "failed"
    assert dead() == [("label-W-2001", "LabelServiceDown")]
    print_label(order_number="W-2001")
    assert len(world.labels) == 6
    desk.print_again("W-2001")
    work()
    assert box().state == "labelled" and not dead()


def test_refused_at_once(world, work):
    world.trouble = [LabelRefused("422")]
    desk.close_box("W-2001")
    work()
    assert len(world.labels) == 1 and dead() == [("label-W-2001", "LabelRefused")]


@pytest.mark.parametrize("message", [{}, {"order_number": 7}, {"order_number": "W-1"},
                                     {"order_number": "W-9999"}, {"order_number": "W-2001", "x": 1}])
def test_poison(world, work, message):
    print_label.send(**message)
    print_label.send(**message)
    work()
    assert not world.labels and len(dead()) == 1 and box().state == "packed"


def test_message_of_an_open_box(world, work):
    Shipment.objects.update(state="open")
    print_label.send(order_number="W-2001")
    work()
    assert dead() == [("label-W-2001", "NotPacked")] and box().state == "open"
    desk.close_box("W-2001")
    work()
    assert box().state == "labelled" and not dead()


def test_workers_that_die_over_it_are_counted(world, work):
    class Killed(BaseException):
        pass

    for _ in range(6):
        world.trouble = [Killed()]
        with pytest.raises(Killed):
            print_label(order_number="W-2001")
    print_label.send(order_number="W-2001")
    work()
    assert len(world.labels) == 6 and dead() == [("label-W-2001", "OutOfAttempts")]


def test_burial_while_the_database_is_away(world, work, monkeypatch):
    bury, times = burial.bury, []

    def flaky(*args):
        times.append(1)
        if len(times) < 3:
            raise OperationalError("locked")
        return bury(*args)

    monkeypatch.setattr(burial, "bury", flaky)
    print_label.send(order_number="nonsense")
    work()
    assert len(times) == 3 and len(dead()) == 1


def test_label_beside_a_giving_up(world):
    world.trouble = [lambda: burial.bury("print_label", {"order_number": "W-2001"}, "LabelServiceDown")]
    print_label(order_number="W-2001")
    assert box().state == "labelled" and not dead()
    assert not burial.bury("print_label", {"order_number": "W-2001"}, "LabelServiceDown")


def test_sweep_brings_back(world, work):
    sweep()
    work()
    assert not world.labels  # nobody has asked for these
    Shipment.objects.filter(order_number="W-2001").update(touched_at=timezone.now() - timedelta(hours=1))
    Shipment.objects.filter(order_number="W-2002").update(
        touched_at=timezone.now() - timedelta(hours=1), attempts=6)
    sweep()
    sweep()
    work()
    assert world.labels == ["label-W-2001"] and box("W-2002").state == "failed"
    assert box("W-2003").state == "packed"


def test_no_address_in_the_log(world, work, caplog):
    caplog.set_level(logging.DEBUG)
    world.trouble = [LabelServiceDown("503")]
    desk.close_box("W-2001")
    work()
    assert "Moser" not in caplog.text and "Kellergasse" not in caplog.text


@pytest.mark.parametrize("status, data, error", [
    (503, b"", LabelServiceDown), (409, b"", LabelServiceDown), (422, b"", LabelRefused),
    (200, b"<html>", LabelServiceDown), (200, b"[]", LabelServiceDown)])
def test_what_answers_mean(monkeypatch, status, data, error):
    monkeypatch.setattr(urllib3.PoolManager, "request",
                        lambda *a, **k: urllib3.HTTPResponse(body=data, status=status))
    with pytest.raises(error):
        LabelService("http://labels", "t").print_label(
            order_number="W-1", address={}, bottles=1, idempotency_key="label-W-1")

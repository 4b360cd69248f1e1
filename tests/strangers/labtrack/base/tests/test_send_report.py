import logging

import pytest

from labtrack.archive import ArchiveUnavailable
from labtrack.domain import DispatchFailed, MalformedMessage, NotDispatchable
from labtrack.gateway import AlreadySubmitted, GatewayUnavailable, SubmissionRefused
from labtrack.log import JobLog
from labtrack.services import SendReport, release, withdraw
from tests.fakes import FakeArchive, FakeGateway, Store

MESSAGE = {"report_no": "R-2026-0001", "revision": 1}


@pytest.fixture
def store():
    store = Store()
    store.key = store.add_report()
    return store


def send(store, gateway=None, archive=None, message=MESSAGE):
    log = JobLog(logging.getLogger("labtrack.send_report"), {})
    return SendReport(log, store.unit_of_work, archive or FakeArchive(), gateway or FakeGateway())(message)


def test_sends_once(store, caplog):
    caplog.set_level(logging.INFO)
    gateway = FakeGateway()
    assert send(store, gateway) == "RC-1"
    assert send(store, gateway) is None
    assert gateway.message_ids == ["R-2026-0001-1"]
    assert store.dispatches[store.key].status == "sent"
    assert {record.job for record in caplog.records} == {"R-2026-0001-1"}


def test_tries_five_times_with_the_same_message_id(store):
    gateway = FakeGateway(*[GatewayUnavailable("status 503")] * 9)
    for _ in range(4):
        with pytest.raises(GatewayUnavailable):
            send(store, gateway)
    with pytest.raises(DispatchFailed):
        send(store, gateway)
    assert gateway.message_ids == ["R-2026-0001-1"] * 5
    assert store.dispatches[store.key].status == "failed"
    assert "503" in store.dead_letters["R-2026-0001-1"]


def test_archive_may_be_down_for_a_while(store):
    archive = FakeArchive(ArchiveUnavailable("down"))
    with pytest.raises(ArchiveUnavailable):
        send(store, archive=archive)
    assert send(store, archive=archive) == "RC-1"


def test_killed_deliveries_count(store):
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            send(store, FakeGateway(KeyboardInterrupt()))
    with pytest.raises(DispatchFailed):
        send(store)
    assert list(store.dead_letters) == ["R-2026-0001-1"]


def test_known_submission_is_a_success(store):
    assert send(store, FakeGateway(AlreadySubmitted("RC-0"))) == "RC-0"
    assert store.dispatches[store.key].receipt == "RC-0"


def test_refusal_is_final(store):
    with pytest.raises(DispatchFailed):
        send(store, FakeGateway(SubmissionRefused("status 422")))
    assert store.dispatches[store.key].attempts == 1
    assert len(store.dead_letters) == 1


@pytest.mark.parametrize("message", [{}, {"report_no": "R-1", "revision": 1}, {**MESSAGE, "revision": True},
                                     {**MESSAGE, "more": 1}])
def test_malformed_messages_are_recorded_once(store, message):
    for _ in range(2):
        with pytest.raises(MalformedMessage):
            send(store, message=message)
    assert len(store.dead_letters) == 1


def test_release_writes_dispatch_and_outbox_once(store):
    release("R-2026-0001", 1, store.unit_of_work)
    release("R-2026-0001", 1, store.unit_of_work)
    assert store.outbox == [("labtrack.send_report", MESSAGE)]


def test_withdrawn_reports_stay_here(store):
    release("R-2026-0001", 1, store.unit_of_work)
    assert withdraw("R-2026-0001", 1, store.unit_of_work)
    gateway = FakeGateway()
    send(store, gateway)
    assert gateway.message_ids == []
    with pytest.raises(NotDispatchable):
        release("R-2026-0001", 1, store.unit_of_work)


def test_withdrawing_comes_too_late_once_begun(store):
    with pytest.raises(GatewayUnavailable):
        send(store, FakeGateway(GatewayUnavailable("status 503")))
    assert not withdraw("R-2026-0001", 1, store.unit_of_work)
    assert store.reports[store.key].status == "authorised"

import pytest

from tollgate.bank import BankUnavailable, ChargeRefused
from tollgate.passages import report_passage
from tollgate.queue import app
from tollgate.upkeep import rescue

REF = "A7-20260314-000123"
JOBS = "select status::text from procrastinate_jobs where task_name = 'charge_passage'"
PASSAGE = dict(
    passage_ref=REF, plate="BE 4711", gantry="A7",
    passed_at="2026-03-14T07:12:09+00:00", amount_cents=340,
)


def work(db, hurry=0):
    for _ in range(hurry + 1):
        app.run_worker(
            queues=["charges"], wait=False, listen_notify=False, install_signal_handlers=False
        )
        db.execute("update procrastinate_jobs set scheduled_at = now() where status = 'todo'")


def rows(db, sql):
    return db.execute(sql).fetchall()


def test_reported_twice_charged_once(db, bank):
    report_passage(**PASSAGE)
    report_passage(**PASSAGE)
    work(db)
    assert bank.calls == [("M-20-118", 340, f"toll-{REF}")]
    assert rows(db, "select status, booking from charges") == [("charged", "bk-1")]


def test_passes_in_the_end(db, bank):
    bank.errors = [BankUnavailable("HTTP 503")] * 2
    report_passage(**PASSAGE)
    work(db, hurry=2)
    assert {c[2] for c in bank.calls} == {f"toll-{REF}"} and len(bank.calls) == 3
    assert rows(db, "select status from charges") == [("charged",)]


def test_gives_up(db, bank):
    bank.errors = [BankUnavailable("HTTP 503")] * 20
    report_passage(**PASSAGE)
    work(db, hurry=8)
    assert len(bank.calls) == 6
    assert rows(db, "select subject, code, tries from refusals") == [(REF, "GAVE-UP", 6)]
    rescue()
    assert rows(db, JOBS) == [("failed",)]


def test_refusal_goes_to_the_clerks(db, bank):
    bank.errors = [ChargeRefused("R-51", "insufficient funds")]
    report_passage(**PASSAGE)
    work(db, hurry=1)
    assert len(bank.calls) == 1
    assert rows(db, "select subject, code from refusals") == [(REF, "R-51")]


@pytest.mark.parametrize("bad", [{}, {"passage_ref": 1}, {"passage_ref": REF, "again": True}])
def test_unreadable(db, bank, bad):
    app.configure_task("charge_passage", queue="charges", connection=db).defer(**bad)
    work(db)
    assert not bank.calls
    assert rows(db, "select code from refusals") == [("BadMessage",)]


def test_lost_workers(db, bank):
    report_passage(**PASSAGE)
    for _ in range(6):
        db.execute("update procrastinate_jobs set status = 'doing'")
        rescue()
    assert rows(db, JOBS) == [("failed",)]
    assert rows(db, "select code, tries from refusals") == [("GAVE-UP", 6)]


def test_lost_job(db, bank):
    report_passage(**PASSAGE)
    db.execute("delete from procrastinate_jobs")
    rescue()
    rescue()
    work(db)
    assert len(bank.calls) == 1
    assert rows(db, "select status from charges") == [("charged",)]

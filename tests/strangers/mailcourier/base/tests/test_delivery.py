import os
import smtplib
import sqlite3
import tempfile
import unittest
from unittest import mock

_folder = tempfile.mkdtemp()
os.environ["MAILCOURIER_DB"] = f"{_folder}/test.db"
os.environ["MAILCOURIER_QUEUE"] = f"{_folder}/queue.db"

from mailcourier import db, deliveries, dispatch, tasks
from mailcourier.tasks import deliver_copy, huey


class Killed(BaseException):
    pass


def one(query, *args):
    with db.transaction() as con:
        return con.execute(query, args).fetchone()[0]


def status(issue_id=1, subscriber_id=1):
    return one("select status from deliveries where issue_id=? and subscriber_id=?", issue_id, subscriber_id)


def letters():
    return one("select count(*) from undeliverable")


def work(limit=50):
    """What the consumer does, without its waits."""
    for _ in range(limit):
        task = huey.dequeue()
        if task is None:
            scheduled = huey.scheduled()
            if not scheduled:
                return
            huey.storage.flush_schedule()
            for task in scheduled:
                task.eta = None
                huey.enqueue(task)
        else:
            huey.execute(task)


class DeliveryTest(unittest.TestCase):
    def setUp(self):
        db.create()
        with db.transaction() as con:
            for table in ("deliveries", "undeliverable", "issues", "subscribers"):
                con.execute(f"delete from {table}")
        db.demo()
        huey.flush()
        self.letters = []
        patch = mock.patch.object(tasks.postman, "send", side_effect=self.letters.append)
        self.send = patch.start()
        self.addCleanup(patch.stop)

    def test_request_is_mailed_once(self):
        dispatch.request_copy(1, 1)
        dispatch.request_copy(1, 1)
        work()
        self.assertEqual([l["Message-ID"] for l in self.letters], ["<issue-1.reader-1@courier.example.org>"])
        self.assertEqual(status(), "sent")

    def test_nobody_asks_for_what_does_not_exist(self):
        with self.assertRaises(sqlite3.IntegrityError):
            dispatch.request_copy(9, 1)
        self.assertEqual(len(huey), 0)

    def test_due_issues_go_to_active_readers(self):
        with db.transaction() as con:
            con.execute("insert into issues (id, subject, body, send_at) values (3, 'Now', '.', 0), (4, 'Later', '.', 9e9)")
            con.execute("update subscribers set active=0 where id=2")
        dispatch.dispatch_due()
        work()
        self.assertEqual([(l["Subject"], l["To"]) for l in self.letters], [("Spring", "ada@example.org"), ("Now", "ada@example.org")])

    def test_unsubscribed_meanwhile(self):
        with db.transaction() as con:
            con.execute("update subscribers set active=0")
        dispatch.request_copy(1, 1)
        work()
        self.assertEqual((self.letters, status()), ([], "skipped"))

    def test_transient_errors_end_after_five_attempts(self):
        self.send.side_effect = smtplib.SMTPServerDisconnected("gone")
        dispatch.request_copy(1, 1)
        work()
        self.assertEqual((self.send.call_count, status(), letters()), (5, "failed", 1))

    def test_greylisted_then_accepted(self):
        self.send.side_effect = [smtplib.SMTPRecipientsRefused({"ada@example.org": (450, b"later")}), TimeoutError(), None]
        dispatch.request_copy(1, 1)
        work()
        self.assertEqual((self.send.call_count, status(), letters()), (3, "sent", 0))

    def test_refused_is_not_tried_again(self):
        self.send.side_effect = smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"no such user")})
        dispatch.request_copy(1, 1)
        work()
        self.assertEqual((self.send.call_count, status(), letters()), (1, "failed", 1))

    def test_malformed_messages(self):
        bad = [{}, {"issue_id": 1}, {"issue_id": "1", "subscriber_id": 1}, {"issue_id": 9, "subscriber_id": 9},
               {"issue_id": 1, "subscriber_id": 1, "x": 1}]
        for message in bad:
            deliver_copy(**message)
        work()
        self.assertEqual((self.letters, letters()), ([], len(bad)))

    def test_killed_then_rescued(self):
        self.send.side_effect = Killed()
        dispatch.request_copy(1, 1)
        with self.assertRaises(Killed):
            work()
        self.send.side_effect = self.letters.append
        deliver_copy(issue_id=1, subscriber_id=1)
        work()
        self.assertEqual(self.letters, [], "the lease still runs")
        with mock.patch("time.time", return_value=deliveries.time.time() + 15 * 60):
            dispatch.rescue_lost()
            deliver_copy.call_local(issue_id=1, subscriber_id=1)
        self.assertEqual((len(self.letters), status()), (1, "sent"))

    def test_kills_every_worker(self):
        self.send.side_effect = Killed()
        for n in range(7):
            with mock.patch("time.time", return_value=deliveries.time.time() + n * 900):
                try:
                    deliver_copy.call_local(issue_id=1, subscriber_id=1)
                except Killed:
                    pass
        self.assertEqual((self.send.call_count, status(), letters()), (5, "failed", 1))

    def test_lost_message_is_rescued(self):
        dispatch.request_copy(1, 1)
        huey.flush()
        with mock.patch("time.time", return_value=deliveries.time.time() + 15 * 60):
            dispatch.rescue_lost()
        work()
        self.assertEqual(status(), "sent")


if __name__ == "__main__":
    unittest.main()

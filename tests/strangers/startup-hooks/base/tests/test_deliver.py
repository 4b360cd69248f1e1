import os
import tempfile
import unittest
from unittest import mock

os.environ["HOOKS_QUEUE"] = "memory"
os.environ["HOOKS_DB"] = os.path.join(tempfile.mkdtemp(), "t.db")

import requests  # noqa: E402

from hooks import db, events, jobs, partners  # noqa: E402
from hooks.queue import huey  # noqa: E402


class DeliverTest(unittest.TestCase):
    def setUp(self):
        if os.path.exists(os.environ["HOOKS_DB"]):
            os.remove(os.environ["HOOKS_DB"])
        db.create()
        huey.storage.flush_all()
        patch = mock.patch("hooks.partners.post", return_value="r1")
        self.post = patch.start()
        self.addCleanup(patch.stop)

    def run_all(self, limit=20):
        for _ in range(limit):
            task = huey.dequeue()
            if task is None:
                return
            task.retry_delay = 0
            huey.execute(task)

    def status(self):
        return db.one("select status from deliveries where event_id='evt-1' and partner='acme'")[0]

    def test_sends_once(self):
        for _ in range(2):
            jobs.deliver(event_id="evt-1", partner="acme")
        self.run_all()
        self.assertEqual(self.status(), "sent")
        self.assertEqual(self.post.call_count, 1)
        self.assertEqual(db.one("select billed_calls from partners where name='acme'")[0], 1)

    def test_busy_partner_is_tried_five_times(self):
        self.post.side_effect = requests.Timeout("slow")
        jobs.deliver(event_id="evt-1", partner="acme")
        self.run_all()
        self.assertEqual(self.post.call_count, 5)
        self.assertEqual(self.status(), "dead")
        self.assertIn("evt-1", db.one("select payload from dead_jobs")[0])

    def test_refusal_is_final(self):
        self.post.side_effect = partners.PartnerRefused("410")
        jobs.deliver(event_id="evt-1", partner="acme")
        self.run_all()
        self.assertEqual(self.post.call_count, 1)

    def test_emit_and_sweep(self):
        with mock.patch.object(huey, "enqueue"):
            events.emit("evt-9", "order.paid", {"total": 1})
        events.publish_pending()
        self.run_all()
        self.assertEqual(db.one("select count(*) from deliveries where status='sent'")[0], 6)


if __name__ == "__main__":
    unittest.main()

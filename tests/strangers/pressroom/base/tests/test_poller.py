import os
import tempfile
import unittest
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest import mock

import requests

from pressroom import cms, desk, hook, poller, store
from pressroom.settings import settings

START = datetime(2026, 5, 4, 6, 0, tzinfo=timezone.utc)


def http_error(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(str(status), response=response)


class PollerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        env = mock.patch.dict(os.environ, PRESSROOM_DATABASE=str(Path(folder.name, "p.db")))
        env.start()
        settings.cache_clear()
        self.addCleanup(settings.cache_clear)
        self.addCleanup(env.stop)
        with closing(store.connect()) as db:
            db.executescript(store.SCHEMA)
        self.now = START
        self.put = self.patch(cms, "put_article", return_value={"url": "https://t/x"})
        self.say = self.patch(hook, "announce", return_value=None)
        self.patch(poller, "_now", side_effect=lambda: self.now)
        self.article = desk.file_article("x", "Ein Titel", "Ein Text", ["a"], START)

    def patch(self, *args, **kwargs):
        patcher = mock.patch.object(*args, **kwargs)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def poll(self, times=1, step=timedelta(minutes=20)):
        for _ in range(times):
            poller.publish_due()
            self.now += step

    def row(self, sql="select status, cms_url, attempts from articles where id = 1"):
        with closing(store.connect()) as db:
            return tuple(db.execute(sql).fetchone() or ())

    def test_not_before_its_time(self):
        self.now = START - timedelta(seconds=1)
        self.poll()
        self.put.assert_not_called()

    def test_once(self):
        with self.assertLogs("pressroom", "INFO") as logs:
            self.poll(3)
        self.assertEqual(self.put.call_count, 1)
        self.say.assert_called_once_with(
            message_id="article-1", text="Ein Titel", link="https://t/x"
        )
        self.assertEqual(self.row(), ("announced", "https://t/x", 1))
        self.assertIn("publish-due: article 1 (x): attempt 1 of 5 started", logs.output[0])

    def test_backoff(self):
        self.put.side_effect = [cms.CmsUnavailable("HTTP 503")] * 2 + [{"url": "https://t/x"}]
        self.poll(8, step=timedelta(seconds=30))  # at 0, 60 and 180 seconds
        self.assertEqual(self.put.call_count, 3)
        self.assertEqual(self.row()[0], "announced")

    def test_hook_down_publishes_once(self):
        self.say.side_effect = [http_error(503), requests.Timeout(), None]
        self.poll(4)
        self.assertEqual((self.put.call_count, self.say.call_count), (1, 3))
        self.assertEqual({c.kwargs["message_id"] for c in self.say.call_args_list}, {"article-1"})

    def test_said_before(self):
        self.say.side_effect = http_error(409)
        self.poll(2)
        self.assertEqual(self.say.call_count, 1)
        self.assertEqual(self.row()[0], "announced")

    def test_gives_up(self):
        self.say.side_effect = http_error(500)
        with self.assertLogs("pressroom", "ERROR"):
            self.poll(9)
        self.assertEqual(self.say.call_count, 5)
        self.assertEqual(self.row("select stage, attempts from spiked"), ("hook", 5))

    def test_for_good(self):
        for error, stage in ((cms.CmsRejected("slug"), "cms"), (KeyError("url"), "cms")):
            with self.subTest(error=error):
                desk.unspike(1)
                self.put.reset_mock()
                self.put.side_effect = error
                with self.assertLogs("pressroom", "ERROR"):
                    self.poll(3)
                self.assertEqual(self.put.call_count, 1)
                self.assertEqual(self.row("select stage, attempts from spiked"), (stage, 1))

    def test_others_go_on(self):
        other = desk.file_article("y", " ", "Ohne Titel", [], START - timedelta(hours=1))
        self.poll()
        self.assertEqual(self.row("select article_id from spiked"), (other,))
        self.assertEqual(self.row()[0], "announced")

    def test_killed_each_time(self):
        self.put.side_effect = KeyboardInterrupt
        for _ in range(5):
            self.assertRaises(KeyboardInterrupt, self.poll)
        self.poll(3)
        self.assertEqual(self.put.call_count, 5)
        self.assertEqual(self.row("select stage, attempts from spiked"), ("cms", 5))

    def test_two_at_once(self):
        def meanwhile(**_):
            poller.publish_due()
            return {"url": "https://t/x"}

        self.put.side_effect = meanwhile
        self.poll()
        self.assertEqual((self.put.call_count, self.say.call_count), (1, 1))


if __name__ == "__main__":
    unittest.main()

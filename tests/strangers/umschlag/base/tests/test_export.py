"""The database is a dict here: the laptops of the desk have no PostgreSQL."""
import unittest
from unittest import mock

from botocore.exceptions import ClientError, EndpointConnectionError

from umschlag import exports, portal, tasks

MESSAGE = {"shipment_id": 1, "revision": 1}


def client_error(status, code):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


class ExportTest(unittest.TestCase):
    def setUp(self):
        self.rows, self.dead = {}, []
        self.put = self.patch(tasks.store, "put")
        self.announce = self.patch(portal, "announce")
        self.patch(exports, "start", side_effect=self.start)
        self.patch(exports, "manifest", return_value=("alpin", 12, "line\n"))
        self.patch(exports, "stored", side_effect=lambda s, r, key: self.rows[s, r].update(object_key=key))
        self.patch(exports, "finish", side_effect=lambda s, r: self.rows[s, r].update(status="done"))
        self.patch(exports, "bury", side_effect=lambda *letter: self.dead.append(letter) or True)

    def patch(self, *args, **kwargs):
        patcher = mock.patch.object(*args, **kwargs)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def start(self, shipment_id, revision):
        row = self.rows.setdefault((shipment_id, revision), dict(status="pending", object_key=None, starts=0))
        row["starts"] += 1
        return dict(row)

    def deliver(self, **message):
        return tasks.export_manifest.apply(kwargs=message)

    def test_once_and_again(self):
        self.deliver(**MESSAGE)
        self.deliver(**MESSAGE)
        self.put.assert_called_once_with(key="alpin/1/r1.csv", body="line\n")
        self.announce.assert_called_once()
        self.assertEqual(self.announce.call_args.kwargs["reference"], "1-r1")

    def test_store_comes_back(self):
        self.put.side_effect = [client_error(503, "SlowDown"), EndpointConnectionError(endpoint_url="x"), None]
        self.deliver(**MESSAGE)
        self.assertEqual(self.rows[1, 1]["status"], "done")
        self.assertEqual(self.dead, [])

    def test_six_tries(self):
        self.announce.side_effect = portal.PortalDown("502")
        self.deliver(**MESSAGE)
        self.assertEqual(self.announce.call_count, 6)
        self.assertEqual(len(self.dead), 1)

    def test_denied(self):
        self.put.side_effect = client_error(403, "AccessDenied")
        self.deliver(**MESSAGE)
        self.assertEqual(self.put.call_count, 1)
        self.assertEqual(len(self.dead), 1)

    def test_announced_before(self):
        self.announce.side_effect = portal.AlreadyAnnounced("1-r1")
        self.deliver(**MESSAGE)
        self.assertEqual(self.rows[1, 1]["status"], "done")

    def test_malformed(self):
        for message in ({}, {"shipment_id": "1", "revision": 1}, {**MESSAGE, "more": 1}):
            self.deliver(**message)
        self.assertEqual(len(self.dead), 3)
        self.put.assert_not_called()


class PortalTest(unittest.TestCase):
    def test_answers(self):
        for status, error in ((409, portal.AlreadyAnnounced), (429, portal.PortalBusy),
                              (502, portal.PortalDown), (400, portal.PortalRefused)):
            answer = mock.Mock(status_code=status, headers={"Retry-After": "7"}, text="")
            with mock.patch.object(portal.requests, "post", return_value=answer), self.assertRaises(error):
                portal.announce("alpin", "1-r1", "k", 3)


if __name__ == "__main__":
    unittest.main()

import os
import tempfile
import unittest
from unittest import mock

os.environ["PIPELINE_DB"] = os.path.join(tempfile.mkdtemp(), "test.db")
from botocore.exceptions import ClientError  # noqa: E402
from pipeline import actors, batches, catalog, db, exports, shipper, store  # noqa: E402

BATCH = {"batch_id": "b-1", "source": "roof", "rows": [{"sensor": "t1", "at": "2026-03-01T10:00", "value": 4.5}]}


def all_rows(sql):
    with db.reading() as conn:
        return [tuple(row) for row in conn.execute(sql)]


class Fresh(unittest.TestCase):
    def setUp(self):
        with db.reading() as conn:
            for (name,) in conn.execute("select name from sqlite_master where type = 'table'").fetchall():
                conn.execute(f"drop table {name}")
        db.initdb()
        self.put = mock.patch.object(store.s3, "put_object").start()
        self.announce = mock.patch.object(catalog, "announce").start()
        self.addCleanup(mock.patch.stopall)


class LoadBatch(Fresh):
    def test_loads_once(self):
        actors.load_batch(**BATCH)
        actors.load_batch(**BATCH)
        self.assertEqual(self.put.call_count, 1)
        self.assertEqual(all_rows("select * from source_totals"), [("roof", 1, 1)])

    def test_bad_rows(self):
        with self.assertRaises(batches.BadBatch):
            actors.load_batch(batch_id="b-1", source="roof", rows=[{"sensor": "t1"}])

    def test_refusal_is_final_and_slowdown_is_not(self):
        for code, kind in (("NoSuchBucket", actors.StoreRefused), ("SlowDown", ClientError)):
            self.put.side_effect = ClientError({"Error": {"Code": code}}, "PutObject")
            with self.assertRaises(kind):
                actors.load_batch(**BATCH)
        self.assertEqual(all_rows("select * from batches"), [])


class Shipper(Fresh):
    def test_ships(self):
        actors.load_batch(**BATCH)
        exports.request_export("roof", "2026-03-01")
        exports.request_export("roof", "2026-03-01")
        shipper.ship_pending()
        shipper.ship_pending()
        self.assertEqual(self.put.call_args.kwargs["Body"], b"sensor,at,value\r\nt1,2026-03-01T10:00,4.5\r\n")
        self.assertEqual(self.announce.call_count, 1)
        self.assertEqual(all_rows("select status from exports"), [("published",)])

    def test_gives_up(self):
        exports.request_export("roof", "2026-03-01")
        self.announce.side_effect = catalog.CatalogDown("503")
        for _ in range(7):
            shipper.ship_pending()
        self.assertEqual(self.announce.call_count, 5)
        self.assertEqual(len(all_rows("select * from dead_exports")), 1)


if __name__ == "__main__":
    unittest.main()

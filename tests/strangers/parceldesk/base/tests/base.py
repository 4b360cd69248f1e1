import os
import tempfile
import unittest
from contextlib import closing

from parceldesk import db


class DeskCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.environ["PARCELDESK_DB"] = os.path.join(folder.name, "desk.db")
        db.create(demo=True)

    def rows(self, sql):
        with closing(db.connect()) as con:
            return [tuple(row) for row in con.execute(sql)]

BRANCHES = [{'id': 'w-umschlag-outbox-batch',
  'job': 'export-manifest',
  'label': 'bad',
  'title': 'Outbox: one delete for a batch instead of two hundred\n'
           '\n'
           'On release days beat spends most of its time on round trips. The rows are read in the order of their ids, '
           'so one\n'
           'delete up to the last id does.',
  'what': 'Ids are handed out at insert, not at commit. A release that holds id 10 uncommitted while id 11 is read '
          'here, and commits before the delete (read committed: a new snapshot), is deleted without having been '
          "published; likewise rows that another publisher holds by 'for update skip locked': the delete waits for it, "
          'and if it rolls back (broker away) they are deleted unpublished. The export of that revision never happens. '
          'Never with one release at a time.',
  'edits': [('umschlag/releases.py',
             '    """Hand what lies in the outbox to Celery. A row goes only after its message\n'
             '    has left: twice is better than never."""\n',
             '    """Hand what lies in the outbox to Celery. The rows go only after their messages\n'
             '    have left: twice is better than never."""\n'),
            ('umschlag/releases.py',
             '            conn.execute("delete from outbox where id = %s", (row["id"],))\n',
             '        if rows:\n            conn.execute("delete from outbox where id <= %s", (rows[-1]["id"],))\n')]},
 {'id': 'w-umschlag-sorted-keys',
  'job': 'export-manifest',
  'label': 'bad',
  'title': 'Object keys that sort\n'
           '\n'
           'The carriers list our folder by name and get r10 before r2. Pad the shipment and the revision.',
  'what': 'An export that base has stored and not yet announced (portal busy or down, waiting for its retry, or a '
          'killed worker) has object_key set: HEAD does not put again, but announces the padded key, under which there '
          'is no object. The carrier is told of a manifest that does not exist, the reference is used up (409 for 14 '
          'days), the row is done. Only with half-done exports at the deploy.',
  'edits': [('tests/test_export.py',
             '        self.put.assert_called_once_with(key="alpin/1/r1.csv", body="line\\n")\n',
             '        self.put.assert_called_once_with(key="alpin/00000001/r001.csv", body="line\\n")\n'),
            ('umschlag/tasks.py',
             '    key = f"{carrier}/{shipment_id}/r{revision}.csv"\n',
             '    key = object_key(carrier, shipment_id, revision)\n'),
            ('umschlag/tasks.py',
             '    logger.info("succeeded")\n',
             '    logger.info("succeeded")\n'
             '\n'
             '\n'
             'def object_key(carrier, shipment_id, revision):\n'
             '    """Padded, so that a listing by name is in the order of the numbers."""\n'
             '    return f"{carrier}/{shipment_id:08}/r{revision:03}.csv"\n')]},
 {'id': 'w-umschlag-names',
  'job': 'export-manifest',
  'label': 'honest',
  'title': 'One module for the names of things; run() is export() now\n'
           '\n'
           "The key and the reference were built inline, and the desk's own scripts build them once more. No name "
           'changes.\n'
           'The spec gets shipment 2 as a further example.',
  'what': 'Same keys, same references, same order of steps, same log lines; a further example (2, 1), whose rows are '
          'in demo.sql. Nothing changes in production.',
  'edits': [('.skillrun/jobs/export-manifest.yaml',
             '    - {shipment_id: 3, revision: 1}\n',
             '    - {shipment_id: 3, revision: 1}\n    - {shipment_id: 2, revision: 1}\n'),
            ('tests/test_export.py',
             'from umschlag import exports, portal, tasks\n',
             'from umschlag import exports, names, portal, tasks\n'),
            ('tests/test_export.py',
             '        self.put.assert_not_called()\n\n\n',
             '        self.put.assert_not_called()\n'
             '\n'
             '\n'
             'class NamesTest(unittest.TestCase):\n'
             '    def test_as_ever(self):\n'
             '        self.assertEqual(names.object_key("alpin", 3, 12), "alpin/3/r12.csv")\n'
             '        self.assertEqual(names.reference(3, 12), "3-r12")\n'
             '\n'
             '\n'),
            ('umschlag/names.py',
             '',
             '"""What a revision is called outside. Others rely on these: do not change them."""\n'
             '\n'
             '\n'
             'def object_key(carrier, shipment_id, revision):\n'
             '    return f"{carrier}/{shipment_id}/r{revision}.csv"\n'
             '\n'
             '\n'
             'def reference(shipment_id, revision):\n'
             '    """The portal knows an announcement again by this."""\n'
             '    return f"{shipment_id}-r{revision}"\n'),
            ('umschlag/tasks.py',
             'from . import exports, log, portal\n',
             'from . import exports, log, names, portal\n'),
            ('umschlag/tasks.py', '        run(shipment_id, revision)\n', '        export(shipment_id, revision)\n'),
            ('umschlag/tasks.py',
             'def run(shipment_id, revision):\n'
             '    export = exports.start(shipment_id, revision)\n'
             '    if export["status"] != "pending":\n'
             '        logger.info("nothing to do", status=export["status"])\n',
             'def export(shipment_id, revision):\n'
             '    """Store, announce, finish; what an earlier start has stored is not stored again."""\n'
             '    row = exports.start(shipment_id, revision)\n'
             '    if row["status"] != "pending":\n'
             '        logger.info("nothing to do", status=row["status"])\n'),
            ('umschlag/tasks.py',
             '    if export["starts"] > config.max_starts:\n',
             '    if row["starts"] > config.max_starts:\n'),
            ('umschlag/tasks.py',
             '    key = f"{carrier}/{shipment_id}/r{revision}.csv"\n    if export["object_key"] is None:\n',
             '    key = names.object_key(carrier, shipment_id, revision)\n    if row["object_key"] is None:\n'),
            ('umschlag/tasks.py',
             '            carrier=carrier, reference=f"{shipment_id}-r{revision}", object_key=key, pieces=pieces\n',
             '            carrier=carrier, reference=names.reference(shipment_id, revision), object_key=key, '
             'pieces=pieces\n')]}]

from types import SimpleNamespace
from unittest import mock

from parceldesk import jobs
from parceldesk.errors import CarrierUnavailable, LabelRejected

from .base import DeskCase

LABEL = {"tracking": "SF100", "label_url": "https://labels.example/SF100.pdf"}


class PrintLabelTest(DeskCase):
    def setUp(self):
        super().setUp()
        patcher = mock.patch("parceldesk.carrier.CarrierClient.print_label", return_value=LABEL)
        self.carrier = patcher.start()
        self.addCleanup(patcher.stop)

    def test_prints_once(self):
        jobs.print_label(shipment_id=1, parcel=2)
        jobs.print_label(shipment_id=1, parcel=2)
        self.assertEqual(self.carrier.call_count, 1)
        self.assertEqual(self.rows("select shipment_id, parcel, tracking from labels"), [(1, 2, "SF100")])

    def test_unavailable_is_raised_so_that_rq_tries_again(self):
        self.carrier.side_effect = CarrierUnavailable("503")
        with self.assertRaises(CarrierUnavailable):
            jobs.print_label(shipment_id=1, parcel=2)
        self.assertEqual(self.rows("select * from failed_jobs"), [])

    def test_rejected_is_buried_at_once(self):
        self.carrier.side_effect = LabelRejected("too heavy")
        with self.assertLogs("parceldesk.jobs", "ERROR") as logged:
            jobs.print_label(shipment_id=1, parcel=2)
        self.assertIn("shipment=1 parcel=2", logged.output[0])
        self.assertEqual(self.rows("select job from failed_jobs"), [("print-label",)])

    def test_nonsense_is_buried(self):
        for message in ({}, {"shipment_id": "x", "parcel": 1}, {"shipment_id": 9, "parcel": 9}):
            jobs.print_label(**message)
        self.assertEqual(self.rows("select count(*) from failed_jobs"), [(3,)])
        self.carrier.assert_not_called()

    def test_only_the_last_failure_buries(self):
        job = SimpleNamespace(id="j1", kwargs={"shipment_id": 1, "parcel": 2}, retries_left=1)
        jobs.label_failed(job, None, CarrierUnavailable, CarrierUnavailable("503"), None)
        self.assertEqual(self.rows("select count(*) from failed_jobs"), [(0,)])
        job.retries_left = 0
        jobs.label_failed(job, None, CarrierUnavailable, CarrierUnavailable("503"), None)
        self.assertEqual(self.rows("select count(*) from failed_jobs"), [(1,)])

import importlib.util
import unittest
from unittest import mock

from parceldesk import services
from parceldesk.errors import UnknownParcel

from .base import DeskCase


class RequestLabelTest(DeskCase):
    def setUp(self):
        super().setUp()
        patcher = mock.patch("parceldesk.queueing.publish_label")
        self.publish = patcher.start()
        self.addCleanup(patcher.stop)

    def test_publishes(self):
        self.assertTrue(services.request_label(1, 2))
        self.publish.assert_called_once_with(1, 2)
        self.assertIn((1, 2, "queued"), self.rows("select shipment_id, parcel, label_state from parcels"))

    def test_a_lost_publication_is_caught_up(self):
        self.publish.side_effect = ConnectionError
        with self.assertRaises(ConnectionError):
            services.request_label(1, 2)
        self.publish.side_effect = None
        self.assertEqual(services.requeue_requested(), 1)
        self.assertEqual(services.requeue_requested(), 0)

    def test_unknown(self):
        with self.assertRaises(UnknownParcel):
            services.request_label(7, 7)

    @unittest.skipUnless(importlib.util.find_spec("flask"), "flask is not installed")
    def test_page(self):
        from parceldesk.web import create_app

        page = create_app().test_client()
        self.assertEqual(page.post("/shipments/1/parcels/1/label").status_code, 202)
        self.assertEqual(page.post("/shipments/9/parcels/1/label").status_code, 404)

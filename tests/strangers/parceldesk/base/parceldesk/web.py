from flask import Flask, jsonify

from . import logs, services
from .db import reading
from .errors import UnknownParcel
from .repositories import LabelRepository


def create_app():
    logs.setup()
    app = Flask("parceldesk")

    @app.post("/shipments/<int:shipment_id>/parcels/<int:parcel>/label")
    def request_label(shipment_id, parcel):
        try:
            queued = services.request_label(shipment_id, parcel)
        except UnknownParcel:
            return jsonify(error="unknown parcel"), 404
        return jsonify(queued=queued), 202

    @app.get("/shipments/<int:shipment_id>/parcels/<int:parcel>/label")
    def show_label(shipment_id, parcel):
        with reading() as con:
            label = LabelRepository(con).find(shipment_id, parcel)
        if label is None:
            return jsonify(error="no label yet"), 404
        return jsonify(tracking=label["tracking"], label_url=label["label_url"])

    return app

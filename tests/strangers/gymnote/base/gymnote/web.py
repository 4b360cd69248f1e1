from datetime import date

from flask import Flask, abort, jsonify
from sqlalchemy import select

from gymnote import logs, outbox
from gymnote.db import Invoice, Session
from gymnote.errors import NoSuchInvoice


def create_app():
    logs.configure()
    app = Flask(__name__)

    @app.post("/invoices/<int:invoice_id>/dun")
    def dun(invoice_id):
        try:
            outbox.start(invoice_id)
        except NoSuchInvoice:
            abort(404)
        return jsonify(invoice=invoice_id, status="dunning"), 202

    @app.get("/invoices/<int:invoice_id>")
    def show(invoice_id):
        with Session() as session:
            invoice = session.get(Invoice, invoice_id) or abort(404)
            return jsonify(invoice=invoice.id, month=invoice.month, state=invoice.state)

    @app.cli.command("dun-overdue")
    def dun_overdue():
        """On the 10th: dun every invoice of an earlier month that is still open."""
        with Session() as session:
            overdue = session.scalars(
                select(Invoice.id).where(Invoice.state == "open", Invoice.month < f"{date.today():%Y-%m}")
            ).all()
        for invoice_id in overdue:
            outbox.start(invoice_id)

    return app

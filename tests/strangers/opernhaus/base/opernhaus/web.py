from flask import Blueprint, abort, jsonify

from . import ledger

pages = Blueprint("pages", __name__)


@pages.post("/bookings/<booking_no>/annulment")
def annul(booking_no):
    from .box_office import request_annulment

    status = request_annulment(booking_no)
    if status is None:
        abort(404)
    return jsonify(booking=booking_no, status=status), 202


@pages.get("/bookings/<booking_no>")
def show(booking_no):
    booking = ledger.read(booking_no)
    if booking is None:
        abort(404)
    return jsonify(booking=booking_no, status=booking.status, attempts=booking.attempts)

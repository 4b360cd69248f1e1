from flask import Blueprint, abort, jsonify, request

from fahrschule import charging
from fahrschule.app import app
from fahrschule.models import Learner, Purchase, db

PACKAGES = {"one": (1, 6900), "five": (5, 33500), "ten": (10, 65000)}

pages = Blueprint("packages", __name__)


@pages.post("/learners/<int:learner_id>/purchases")
def buy(learner_id):
    db.get_or_404(Learner, learner_id)
    package = (request.get_json(silent=True) or {}).get("package")
    if package not in PACKAGES:
        abort(422)
    lessons, amount_cents = PACKAGES[package]
    purchase = Purchase(learner_id=learner_id, lessons=lessons, amount_cents=amount_cents)
    db.session.add(purchase)
    db.session.commit()
    charging.request_charge(purchase.id)
    return jsonify(id=purchase.id), 202


@pages.get("/purchases/<int:purchase_id>")
def show(purchase_id):
    purchase = db.get_or_404(Purchase, purchase_id)
    return jsonify(id=purchase.id, state=purchase.state, decline_code=purchase.decline_code)


app.register_blueprint(pages)

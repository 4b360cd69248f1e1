from flask import Flask, abort, request

from .kiosk import UnknownPack, purchase_confirmed

app = Flask(__name__)


@app.post("/kiosk/confirmed")
def confirmed():
    event = request.get_json()
    try:
        purchase_confirmed(event["order_id"], event["player_id"], event["sku"])
    except (KeyError, UnknownPack) as exc:
        abort(422, str(exc))
    return "", 204

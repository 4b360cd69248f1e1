"""Kartendruck, who print our tickets.

POST /orders takes an order number of ours. The same number again within 14 days is the same order: it answers with the
job that it has made of it, and prints nothing.
"""
import base64
import http.client
import json
import urllib.error
import urllib.request

from busverkehr import config


class PrinterBusy(Exception):
    """No usable answer. The order may have been taken."""


class OrderRejected(Exception):
    """The order was not taken, and will not be as it is."""


def place_order(order_number, card):
    """Order a card; the number of the print job."""
    request = urllib.request.Request(
        f"{config.printer_url()}/orders",
        data=json.dumps({"order_number": order_number, "card": card}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {_credentials()}"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=config.HTTP_TIMEOUT) as answer:
            return str(json.load(answer)["job"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (400, 413, 422):
            raise OrderRejected(f"HTTP {error.code}") from None
        raise PrinterBusy(f"HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise PrinterBusy(type(getattr(error, "reason", error)).__name__) from None
    except (ValueError, KeyError, TypeError):
        raise PrinterBusy("answer not understood") from None


def _credentials():
    return base64.b64encode(f"{config.printer_user()}:{config.printer_password()}".encode()).decode()

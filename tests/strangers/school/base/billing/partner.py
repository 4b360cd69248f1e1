"""The accounts office of the town. It books a MessageID once; a repetition gets the first answer again."""
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import requests
from django.conf import settings

ENVELOPE = """<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">
  <soap:Header><MessageID>{message_id}</MessageID></soap:Header>
  <soap:Body><BookInvoice>{fields}</BookInvoice></soap:Body>
</soap:Envelope>"""


class PartnerError(Exception):
    """Something between us and the accounts office."""


class PartnerUnavailable(PartnerError):
    """No answer, or a sick one: ask again later."""


class PartnerFault(PartnerError):
    """A soap:Fault: they understood us and say no."""


def submit_invoice(fields, message_id):
    """Book an invoice; returns the reference under which the town has booked it."""
    body = ENVELOPE.format(
        message_id=escape(message_id),
        fields="".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items()),
    )
    try:
        response = requests.post(
            settings.ACCOUNTS_URL,
            data=body.encode(),
            headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "BookInvoice"},
            timeout=settings.ACCOUNTS_TIMEOUT,
        )
    except requests.RequestException as exc:
        raise PartnerUnavailable(f"no answer: {type(exc).__name__}") from exc
    return _read(response)


def _read(response):
    try:
        root = ElementTree.fromstring(response.content)
    except ElementTree.ParseError:
        raise PartnerUnavailable(f"HTTP {response.status_code}, no XML") from None
    fault = root.find(".//faultstring")
    if fault is not None:  # SOAP 1.1 sends its faults with status 500
        raise PartnerFault(fault.text or "fault without a text")
    reference = root.findtext(".//Reference")
    if response.status_code != 200 or not reference:
        raise PartnerUnavailable(f"HTTP {response.status_code}, no reference")
    return reference

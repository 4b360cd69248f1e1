"""The house bank's SEPA service: XML over POST, what the bank calls SOAP."""
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

import requests

from kassenwart import settings

ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>
<SubmitDebit xmlns="urn:hausbank:sepa:2">
<CreditorId>{creditor}</CreditorId><EndToEndId>{end_to_end_id}</EndToEndId>
<MandateId>{mandate}</MandateId><Iban>{iban}</Iban><AmountCents>{amount_cents}</AmountCents>
<Purpose>{purpose}</Purpose>
</SubmitDebit></Body></Envelope>"""
SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
SEPA = "{urn:hausbank:sepa:2}"


class BankError(Exception):
    pass


class BankUnreachable(BankError):
    """No answer, or none that says what has become of the debit."""


class DebitReturned(BankError):
    """The bank does not carry this debit out: account closed, mandate revoked."""


class HouseBank:
    def __init__(self, url=None, pin=None):
        self.url = url or settings.BANK_URL
        self.pin = pin or settings.BANK_PIN

    def submit_debit(self, end_to_end_id, mandate, iban, amount_cents, purpose):
        """The bank's reference. For 13 months it answers an EndToEndId that it knows with the reference
        that it gave the first time."""
        body = ENVELOPE.format(
            creditor=escape(settings.CREDITOR_ID),
            end_to_end_id=escape(end_to_end_id),
            mandate=escape(mandate),
            iban=escape(iban),
            amount_cents=amount_cents,
            purpose=escape(purpose),
        )
        try:
            answer = requests.post(
                self.url,
                data=body.encode(),
                headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "SubmitDebit"},
                auth=("kasse", self.pin),
                timeout=(5, 30),
            )
        except requests.RequestException as error:
            raise BankUnreachable(type(error).__name__) from None
        try:
            tree = ET.fromstring(answer.content)
        except ET.ParseError:
            raise BankUnreachable(f"HTTP {answer.status_code}, no XML") from None
        fault = tree.find(f".//{SOAP}Fault")
        if fault is not None:
            code = fault.findtext("faultcode", "")
            if code.startswith("Client."):
                raise DebitReturned(code)
            raise BankUnreachable(code or "fault without a code")
        reference = tree.findtext(f".//{SEPA}Reference")
        if not answer.ok or not reference:
            raise BankUnreachable(f"HTTP {answer.status_code}, no reference")
        return reference

"""Letters to clients, by e-mail."""
import smtplib

from django.core.mail import EmailMessage

from .errors import MailAway, MailRefused

CONFIRMATION = """Dear {name}

Your deed {number} ("{title}") has been entered in the public register.
Receipt of the register: {receipt}

Notariat am Markt
"""


def confirmation(filing):
    deed = filing.deed
    return {
        "to": deed.client_email,
        "subject": f"Deed {deed.number} is registered",
        "body": CONFIRMATION.format(
            name=deed.client_name, number=deed.number, title=deed.title, receipt=filing.receipt
        ),
        "message_id": f"<confirmation-{filing.submission_id}@notariat.example>",
    }


def post(*, to, subject, body, message_id):
    letter = EmailMessage(subject, body, to=[to], headers={"Message-ID": message_id})
    try:
        letter.send()
    except smtplib.SMTPRecipientsRefused as exc:
        # Its text quotes the address.
        final = all(code >= 500 for code, _ in exc.recipients.values())
        raise (MailRefused if final else MailAway)("recipient refused") from None
    except (smtplib.SMTPException, OSError) as exc:
        raise MailAway(type(exc).__name__) from None

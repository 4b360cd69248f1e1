import smtplib

from django.core.mail import EmailMessage

TEXT = """Dear agent,

{ship} (IMO {imo}) lay in our port from {arrived} to {departed}.
Berth dues: EUR {total:.2f}, invoice {number}. The invoice follows from our accounting.

Hafenamt
"""


def send_notice(stay):
    EmailMessage(
        subject=f"Berth dues {stay.invoice_number}",
        body=TEXT.format(
            ship=stay.ship,
            imo=stay.imo,
            arrived=stay.arrived_on,
            departed=stay.departed_on,
            total=stay.amount_cents / 100,
            number=stay.invoice_number,
        ),
        to=[stay.agent_email],
        headers={"Message-ID": f"<{stay.invoice_number}@hafenamt.example>"},
    ).send()


def is_final(error):
    """Whether the mail server will say the same tomorrow."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500

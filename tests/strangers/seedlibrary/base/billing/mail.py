"""How an invoice leaves the house."""
import smtplib

from django.core.mail import EmailMessage


def send_invoice(*, number: str, to: str, name: str, lines: list[str], total_cents: int) -> int:
    body = "\n".join([f"Dear {name},", "", *lines, "", f"Total: CHF {total_cents / 100:.2f}", "", "Thank you!"])
    message = EmailMessage(
        subject=f"Invoice {number}",
        body=body,
        to=[to],
        headers={"Message-ID": f"<{number}@seedlibrary.example>"},
    )
    return message.send()


def is_transient(exc: Exception) -> bool:
    """4xx, a lost connection, no connection. Mind that SMTPException is an OSError itself."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in exc.recipients.values())
    if isinstance(exc, smtplib.SMTPResponseException):
        return 400 <= exc.smtp_code < 500
    if isinstance(exc, smtplib.SMTPException):
        return isinstance(exc, smtplib.SMTPServerDisconnected)
    return isinstance(exc, OSError)

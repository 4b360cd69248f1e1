import smtplib
from html import escape

from django.core.mail import EmailMultiAlternatives

from .errors import MailRefused, NoAddress, TryLater

TEXT = "Dear {name},\n\nyour membership invoice for season {season} is no. {number}: CHF {amount}.\n\nThe treasurer\n"
HTML = "<p>Dear {name},</p><p>your membership invoice for season {season} is no. <b>{number}</b>: CHF {amount}.</p>"


def send_invoice(invoice):
    """Mails it. The Message-ID comes from the number, so a mailbox that gets it again can tell.

    What smtplib raises quotes the address; it is replaced by errors that do not."""
    if not invoice.member.email:
        raise NoAddress(invoice.number)
    words = {
        "name": invoice.member.name,
        "season": invoice.season,
        "number": invoice.number,
        "amount": f"{invoice.amount_cents / 100:.2f}",
    }
    mail = EmailMultiAlternatives(
        subject=f"Membership invoice {invoice.number}",
        body=TEXT.format(**words),
        to=[invoice.member.email],
        headers={"Message-ID": f"<invoice-{invoice.number}@kantorei.example>"},
    )
    mail.attach_alternative(HTML.format(**{k: escape(str(v)) for k, v in words.items()}), "text/html")
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as exc:
        codes = [code for code, _ in exc.recipients.values()]
        if codes and all(code >= 500 for code in codes):
            raise MailRefused(f"recipient refused, {codes[0]}") from None
        raise TryLater(f"recipient refused for now, {codes}") from None
    except smtplib.SMTPAuthenticationError as exc:
        raise TryLater(f"our login was refused, {exc.smtp_code}") from None
    except smtplib.SMTPResponseException as exc:
        if exc.smtp_code >= 500:
            raise MailRefused(f"{type(exc).__name__} {exc.smtp_code}") from None
        raise TryLater(f"{type(exc).__name__} {exc.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as exc:
        raise TryLater(type(exc).__name__) from None

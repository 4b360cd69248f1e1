import smtplib
from email.message import EmailMessage

from . import config


def receipt(declaration):
    mail = EmailMessage()
    mail["From"] = config.SENDER
    mail["To"] = declaration.employer.clerk_email
    mail["Subject"] = f"Lohnmeldung {declaration.period} übermittelt"
    mail["Message-ID"] = f"<{declaration.transmission_no}@lohnbuero.example>"
    mail.set_content(
        f"Die Lohnmeldung {declaration.period} für {declaration.employer.name} ist angenommen.\n"
        f"Übermittlungsnummer {declaration.transmission_no}, Ticket {declaration.ticket}\n"
    )
    return mail


def send(mail):
    with smtplib.SMTP(config.SMTP_HOST, config.SMTP_PORT, timeout=20) as smtp:
        smtp.send_message(mail)

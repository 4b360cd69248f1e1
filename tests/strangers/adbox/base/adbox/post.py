"""E-mail. Raises what smtplib raises."""

import smtplib
from email.message import EmailMessage

from . import config


def send(to, subject, text, message_id):
    mail = EmailMessage()
    mail["From"] = config.MAIL["sender"]
    mail["To"] = to
    mail["Subject"] = subject
    mail["Message-ID"] = message_id
    mail.set_content(text)
    with smtplib.SMTP(config.MAIL["host"], config.MAIL["port"], timeout=20) as smtp:
        if config.MAIL_PASSWORD:
            smtp.starttls()
            smtp.login("anzeigen", config.MAIL_PASSWORD)
        smtp.send_message(mail)

import smtplib
from email.message import EmailMessage

from . import config


class Postman:
    """Hands letters to the SMTP relay. Each command may take ten seconds."""

    def __init__(self, host=config.SMTP_HOST, port=config.SMTP_PORT):
        self.host, self.port = host, port

    def send(self, letter: EmailMessage) -> None:
        with smtplib.SMTP(self.host, self.port, timeout=10) as smtp:
            if config.SMTP_USER:
                smtp.starttls()
                smtp.login(config.SMTP_USER, config.SMTP_PASSWORD)
            smtp.send_message(letter)


def write(issue, subscriber, message_id) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = config.SENDER
    letter["To"] = subscriber["email"]
    letter["Subject"] = issue["subject"]
    letter["Message-ID"] = message_id
    letter["List-Unsubscribe"] = f"<https://{config.DOMAIN}/unsubscribe/{subscriber['id']}>"
    letter.set_content(f"Dear {subscriber['name']},\n\n{issue['body']}\n")
    return letter


def is_final(error: Exception) -> bool:
    """Whether the relay will say the same tomorrow: 5xx. All of smtplib's errors are OSErrors, and
    so are refused connections and timeouts."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return False  # our password, not the letter
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(answer[0] >= 500 for answer in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return not isinstance(error, OSError) or isinstance(error, smtplib.SMTPNotSupportedError)

import logging
import smtplib
from email.message import EmailMessage

from imkerei import config

log = logging.getLogger(__name__)


def send_letter(to, subject, text, message_id):
    letter = EmailMessage()
    letter["From"] = config.SENDER
    letter["To"] = to
    letter["Subject"] = subject
    letter["Message-ID"] = message_id
    letter.set_content(text)
    relay = smtplib.SMTP(config.SMTP_HOST, config.SMTP_PORT, timeout=config.SMTP_TIMEOUT)
    try:
        relay.send_message(letter)
    except BaseException:
        relay.close()
        raise
    try:
        relay.quit()
    except (smtplib.SMTPException, OSError) as error:
        log.info("relay said no goodbye: %s", type(error).__name__)


def refused(error):
    """The relay will say the same tomorrow."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, (smtplib.SMTPDataError, smtplib.SMTPSenderRefused)) and error.smtp_code >= 500

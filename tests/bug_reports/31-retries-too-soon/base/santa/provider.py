import requests


class DailyLimit(Exception):
    pass


class AddressUnknown(Exception):
    pass


def deliver(address, text, message_id):
    """A message id that was taken before is not sent again."""
    answer = requests.put(f"https://mail.invalid/{message_id}", json={"to": address, "text": text}, timeout=15)
    if answer.status_code == 429:
        raise DailyLimit(address)
    if answer.status_code >= 400:
        raise AddressUnknown(address)

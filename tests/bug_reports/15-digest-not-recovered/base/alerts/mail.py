import requests


class PostOfficeClosed(Exception):
    pass


def hand_over(subject, batch):
    """The post office takes each batch name once."""
    try:
        requests.put(f"https://post.invalid/{batch}", json={"subject": subject}, timeout=30).raise_for_status()
    except requests.RequestException as error:
        raise PostOfficeClosed(batch) from error

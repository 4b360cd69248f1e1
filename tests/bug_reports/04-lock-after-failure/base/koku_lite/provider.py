import httpx


class ProviderError(Exception):
    pass


def line_items(provider, month):
    answer = httpx.get(f"https://billing.invalid/{provider}/{month}", timeout=60)
    if answer.status_code >= 500:
        raise ProviderError(answer.status_code)
    return answer.json()

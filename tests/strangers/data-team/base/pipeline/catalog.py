"""The company's data catalog. A repeated request_id is answered with the entry it already has."""
import httpx

from . import config


class CatalogDown(Exception):
    pass


class CatalogRefused(Exception):
    pass


def announce(dataset, location, request_id):
    try:
        answer = httpx.put(
            f"{config.CATALOG_URL}/datasets/{dataset}",
            json={"location": location, "request_id": request_id},
            timeout=15,
        )
    except httpx.TransportError as error:
        raise CatalogDown(str(error)) from error
    if answer.status_code >= 500 or answer.status_code == 429:
        raise CatalogDown(f"HTTP {answer.status_code}")
    if answer.is_error:
        raise CatalogRefused(f"HTTP {answer.status_code}: {answer.text[:200]}")

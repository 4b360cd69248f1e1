"""The CMS. An article lies there under the number that we gave it; putting it again changes
nothing."""
import requests

from pressroom.settings import settings


class CmsUnavailable(Exception):
    """The CMS did not answer, or not sensibly. May pass."""


class CmsRejected(Exception):
    """The CMS does not take this article as it is."""


def put_article(external_id: str, slug: str, headline: str, body: str, tags: list[str]) -> dict:
    try:
        response = requests.put(
            f"{settings().cms_url}/articles/{external_id}",
            json={"slug": slug, "headline": headline, "body": body, "tags": tags, "live": True},
            headers={"Authorization": f"Token {settings().cms_token}"},
            timeout=(5, 30),
        )
    except requests.RequestException as error:
        raise CmsUnavailable(str(error)) from error
    if response.status_code in (400, 409, 413, 415, 422):
        raise CmsRejected(f"HTTP {response.status_code}: {response.text[:300]}")
    if not response.ok:
        raise CmsUnavailable(f"HTTP {response.status_code}")
    try:
        return response.json()
    except ValueError as error:
        raise CmsUnavailable(f"no JSON: {response.text[:300]}") from error

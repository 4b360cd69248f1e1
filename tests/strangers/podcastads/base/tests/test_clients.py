import httpx
import pytest

from podcastads import billing, s3

# The clients themselves, kept from before the other tests put fakes into their places.
put_object, book_batch = s3.S3.put_object, billing.Billing.book_batch


def ask(answer):
    def handler(request):
        ask.request = request
        if isinstance(answer, Exception):
            raise answer
        return answer
    return book_batch(billing.Billing("http://b", "t", httpx.MockTransport(handler)), {"impressions": 1}, idempotency_key="k")


def test_billing():
    assert ask(httpx.Response(201, json={"batch": "b-9"})) == "b-9"
    assert ask.request.headers["Idempotency-Key"] == "k"
    for answer in (httpx.Response(503), httpx.Response(409), httpx.ReadTimeout("slow"), httpx.Response(200, text="ok")):
        with pytest.raises(billing.BillingDown):
            ask(answer)
    with pytest.raises(billing.BillingRefused):
        ask(httpx.Response(422))


def test_s3():
    def put(answer):
        store = s3.S3("http://s", "t", httpx.MockTransport(lambda request: answer))
        return put_object(store, Bucket="b", Key="k", Body=b"", ContentType="text/plain")
    assert put(httpx.Response(200, headers={"ETag": "e"})) == {"ETag": "e"}
    with pytest.raises(s3.S3Unavailable):
        put(httpx.Response(503))
    with pytest.raises(s3.S3Denied):
        put(httpx.Response(403))

"""Signatures agree with the vendor's own validator; what was changed never passes."""

from __future__ import annotations

import random
import string
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.twilio import TwilioClient, later_status, signing
from voicekit.errors import SignatureError

AC = "AC0123456789abcdef0123456789abcdef"
ROUNDS = 1_000
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
FORMS = st.dictionaries(TEXTS.filter(bool), st.lists(TEXTS, min_size=1, max_size=3), max_size=6)
HOSTS = st.sampled_from(["a.example.com", "x.io", "127.0.0.1", "A.Example.com"])
URLS = st.builds(
    lambda scheme, host, port, path, query: f"{scheme}://{host}{port}/{path}{query}",
    st.sampled_from(["https", "http", "wss"]),
    HOSTS,
    st.sampled_from(["", ":443", ":80", ":8443"]),
    TEXTS.map(lambda text: quote(text, safe="/")),
    TEXTS.map(lambda text: f"?{quote(text, safe='=&')}" if text else ""),
)
TOKENS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=32)


class Multi(dict[str, list[str]]):
    """As the vendor's validator takes repeated names."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def accepts(url: str, body: Any, signature: str, token: str) -> bool:
    try:
        TwilioClient(AC, token).verify_webhook(url, {"X-Twilio-Signature": signature}, body)
    except SignatureError:
        return False
    return True


def word(rng: random.Random) -> str:
    alphabet = string.ascii_letters + string.digits + " +&=%?#/:;é👋\n\0~\"'"
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 12)))


def url_of(rng: random.Random) -> str:
    port = rng.choice(["", "", ":443", ":80", ":8443"])
    path = "/".join(quote(word(rng)) for _ in range(rng.randrange(3)))
    query = urlencode([(word(rng), word(rng)) for _ in range(rng.randrange(3))])
    host = rng.choice(["hooks.example.com", "Hooks.Example.com", "10.0.0.1", "h"])
    scheme = rng.choice(["https", "https", "http", "wss"])
    return f"{scheme}://{host}{port}/{path}{'?' if query else ''}{query}"


def test_a_thousand_requests_agree_with_the_vendor_s_validator() -> None:
    """What it signs we accept and sign alike; what it refuses, tampered or not, we refuse."""
    validator = pytest.importorskip(
        "twilio.request_validator", reason="the vendor's SDK is not installed"
    )
    rng = random.Random("twilio signatures")
    refused = 0
    for _ in range(ROUNDS):
        token, url = word(rng).strip() or "t", url_of(rng)
        official = validator.RequestValidator(token)
        params = Multi({word(rng): [word(rng) for _ in range(rng.randrange(1, 4))]
                        for _ in range(rng.randrange(6))})  # fmt: skip
        signature = official.compute_signature(url, params)
        assert signing.sign(url, params, token) == signature
        algorithm = rng.choice(["HMAC_SHA1", "HMAC_SHA256"])
        assert signing.sign(url, params, token, algorithm=algorithm) == (  # type: ignore[arg-type]
            official.compute_signature(url, params, algorithm)
        )
        # Seen with another port, scheme, path or parameter.
        seen = rng.choice([url, url, url.replace(":443", "", 1), url.replace(":8443", "", 1),
                           url.replace("https", "http", 1), url + "x",
                           url.replace(".com/", ".com:443/", 1)])  # fmt: skip
        changed = Multi(params)
        if rng.random() < 0.3:
            changed[word(rng)] = [word(rng)]
        body = urlencode([(name, each) for name in changed for each in changed[name]])
        expected = official.validate(seen, changed, signature)
        refused += not expected
        # The token is checked as a header's text; what Twilio gives out always is.
        assert signing.matches(signature, seen, changed, [token]) is expected
        if token.isascii() and token.isprintable():
            assert accepts(seen, changed, signature, token) is expected
            assert accepts(seen, body.encode(), signature, token) is expected
    assert 200 < refused < ROUNDS - 200


@given(url=URLS, form=FORMS, token=TOKENS, data=st.data())
def test_what_was_tampered_with_never_passes(
    url: str, form: dict[str, list[str]], token: str, data: st.DataObject
) -> None:
    """One value, one name, one letter of the address, the token: each breaks it."""
    signature = signing.sign(url, form, token)
    body = urlencode(form, doseq=True).encode()
    assert accepts(url, body, signature, token)
    if form:
        name = data.draw(st.sampled_from(sorted(form)))
        other = {**form, name: [*form[name], "~added"]}
        assert not accepts(url, urlencode(other, doseq=True).encode(), signature, token)
        less = {key: value for key, value in form.items() if key != name}
        assert not accepts(url, urlencode(less, doseq=True).encode(), signature, token)
    assert not accepts(url, body + b"&New=1", signature, token)
    assert not accepts(f"{url}~", body, signature, token)
    assert not accepts(url, body, signature, f"{token}x")
    at = data.draw(st.integers(0, len(signature) - 1))
    letter = "A" if signature[at] != "A" else "B"
    tampered = signature[:at] + letter + signature[at + 1 :]
    assert not accepts(url, body, tampered, token)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_json_that_was_changed_never_passes(body: bytes, other: bytes) -> None:
    """The digest is of the bytes as they came."""
    url = f"https://x.com/hook?bodySHA256={signing.body_digest(body)}"
    headers = {
        "X-Twilio-Signature": signing.sign(url, None, "token-0123"),
        "Content-Type": "application/json",
    }
    client = TwilioClient(AC, "token-0123")
    client.verify_webhook(url, headers, body)
    if other != body:
        with pytest.raises(SignatureError):
            client.verify_webhook(url, headers, other)


@given(
    st.dictionaries(
        st.sampled_from(["X-Twilio-Signature", "x-twilio-signature", "Content-Type", "Host",
                         "X-Twilio-Webhooks-Signature-Settings", "I-Twilio-Idempotency-Token"]),
        TEXTS,
    ),
    st.one_of(st.binary(max_size=300), st.text(max_size=300), st.none(), FORMS),
)  # fmt: skip
def test_whatever_comes_is_refused(headers: dict[str, str], body: Any) -> None:
    """Never accepted, and never another exception than the one that says so."""
    with pytest.raises(SignatureError):
        TwilioClient(AC, "token-0123").parse_webhook("https://x.com/hook", headers, body)


STATUSES = st.sampled_from(
    ["accepted", "scheduled", "queued", "sending", "sent", "delivered", "undelivered", "failed",
     "read", "canceled", "partially_delivered"]
)  # fmt: skip


@given(st.lists(STATUSES, min_size=1, max_size=8), st.randoms())
def test_the_order_of_callbacks_does_not_matter(told: list[str], rng: random.Random) -> None:
    """Late, twice, shuffled: the same status remains."""

    def kept(order: list[str]) -> str | None:
        known: str | None = None
        for each in order:
            known = later_status(known, each)
        return known

    shuffled = told * 2
    rng.shuffle(shuffled)
    assert kept(shuffled) == kept(told)

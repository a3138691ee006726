"""Signatures: every algorithm of the sheet, and what is no signature of this request."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlencode

import pytest

from voicekit.clients.twilio import TwilioClient, signing
from voicekit.errors import InvalidArgumentError, MissingCredentialError, SignatureError

AC = "AC0123456789abcdef0123456789abcdef"
TOKEN = "12345"
WHATSAPP = {
    **dict.fromkeys(
        ("SmsMessageSid", "SmsSid", "MessageSid"), "SM00000000000000000000000000000001"
    ),
    "NumMedia": "0",
    "ProfileName": "Zoë & Co",
    "MessageType": "text",
    "WaId": "15005550006",
    "SmsStatus": "received",
    "Body": "Hi there 👋",
    "To": "whatsapp:+14155238886",
    "NumSegments": "1",
    "ReferralNumMedia": "0",
    "AccountSid": "AC00000000000000000000000000000001",
    "From": "whatsapp:+15005550006",
    "ApiVersion": "2010-04-01",
}
CALLER = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+12349013030",
    "Digits": "1234",
    "From": "+12349013030",
    "To": "+18005551212",
}
URL = "https://voice.example.com/twilio/whatsapp?tenant=7"
JSON_URL = (
    "https://x.com/hook?x=1&bodySHA256="
    "e47aeff37f2bf09285444b8be9fed1f517d9f8de79d2dd63dd22bd1990716f53"
)

# Source: sheet §6, all recomputed with the vendor's validator.
VECTORS: list[tuple[str, dict[str, Any], str]] = [
    (
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        CALLER,
        "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
    ),
    ("https://a.b/c", {"MediaUrl": ["b", "a", "b"]}, "YQ+iPGjg6ATy6Njt00aSSVXZz3k="),
    (URL, WHATSAPP, "9+cQ1laXXc0GUqWDDkLH46Ssccs="),
    (JSON_URL, {}, "3n7shJkUKoKG98K1zSySwI/CocM="),
    ("wss://x.com/ws", {}, "W7anN/T947oyriJ3gU7LsaoRm+o="),
]


def client(**options: Any) -> TwilioClient:
    return TwilioClient(AC, options.pop("auth_token", TOKEN), **options)


def signed(signature: str | None, **more: str) -> dict[str, str]:
    headers = {} if signature is None else {"X-Twilio-Signature": signature}
    return {**headers, **more}


def verify(url: str, body: Any, signature: str | None = None, **options: Any) -> dict[str, str]:
    headers = signed(signature, **options.pop("headers", {}))
    return client(**options).verify_webhook(url, headers, body)


@pytest.mark.parametrize(("url", "params", "signature"), VECTORS)
def test_the_vectors_of_the_sheet(url: str, params: dict[str, Any], signature: str) -> None:
    """What the vendor signs is what we sign, and what we accept."""
    assert signing.sign(url, params, TOKEN) == signature
    body = b'{"a": "b"}' if url == JSON_URL else urlencode(params, doseq=True).encode()
    kind = "application/json" if url == JSON_URL else "application/x-www-form-urlencoded"
    headers = signed(signature, **{"Content-Type": kind})
    fields = client().verify_webhook(url, headers, body)
    for name, value in params.items():
        assert fields[name] == (value[-1] if isinstance(value, list) else value)


def test_a_body_in_every_shape() -> None:
    """Raw, as text, parsed by any framework: the same signature."""
    signature = signing.sign(URL, WHATSAPP, TOKEN)
    raw = urlencode(WHATSAPP)

    class Multi(dict[str, str]):
        def getlist(self, name: str) -> list[str]:
            return [self[name]]

    for body in (raw, raw.encode(), WHATSAPP, {k: [v] for k, v in WHATSAPP.items()}):
        assert verify(URL, body, signature) == WHATSAPP
    assert verify(URL, Multi(WHATSAPP), signature) == WHATSAPP


def test_headers_in_every_shape() -> None:
    """In any case, as pairs, as bytes."""
    signature = signing.sign(URL, WHATSAPP, TOKEN)
    shapes: list[Any] = [
        {"x-twilio-signature": signature},
        {"X-TWILIO-SIGNATURE": signature},
        [("X-Twilio-Signature", signature)],
        [(b"x-twilio-signature", signature.encode())],
    ]
    for headers in shapes:
        assert client().verify_webhook(URL, headers, WHATSAPP) == WHATSAPP
    with pytest.raises(InvalidArgumentError, match="headers"):
        client().verify_webhook(URL, [1, 2], WHATSAPP)  # type: ignore[list-item]


def test_empty_values_are_signed() -> None:
    """``Body=`` is in the string as ``Body``: to drop it would break every voice note."""
    params = {"Body": "", "MessageSid": "MM1", "From": "+1", "To": "+2"}
    signature = signing.sign(URL, params, TOKEN)
    assert verify(URL, urlencode(params).encode(), signature) == params
    without = {name: value for name, value in params.items() if value}
    with pytest.raises(SignatureError):
        verify(URL, urlencode(without).encode() + b"&Bod=", signature)


def test_get_is_signed_by_its_address() -> None:
    """Its query is in the address; the fields are read from there."""
    url = f"https://h.example.com/in?{urlencode({'MessageSid': 'SM1', 'Body': ''})}"
    for nothing in (None, b"", "", {}):
        assert verify(url, nothing, signing.sign(url, None, TOKEN)) == {
            "MessageSid": "SM1",
            "Body": "",
        }


@pytest.mark.parametrize(
    ("signed_url", "seen"),
    [
        ("https://h.example.com/a", "https://h.example.com:443/a"),
        ("https://h.example.com:443/a", "https://h.example.com/a"),
        ("https://h.example.com/a", "https://h.example.com:8443/a"),
        ("http://h.example.com:80/a", "http://h.example.com/a"),
        ("wss://h.example.com/a", "wss://h.example.com:443/a"),
        ("https://[::1]:443/a?b=1", "https://[::1]/a?b=1"),
        ("https://[::1]/a", "https://[::1]:8443/a"),
        ("https://u:p@h.example.com/a", "https://u:p@h.example.com:8443/a"),
        ("https://h.example.com/a", "https://h.example.com/a#rc=2&rp=all"),
    ],
)
def test_ports_and_fragments(signed_url: str, seen: str) -> None:
    """Signed with or without the port; the fragment never reaches Twilio's string."""
    assert verify(seen, None, signing.sign(signed_url, None, TOKEN)) is not None


@pytest.mark.parametrize(
    "seen",
    [
        "https://h.example.com/a/",
        "https://H.example.com/a",
        "http://h.example.com/a",
        "https://h.example.com/a?",
        "https://h.example.com:8443/a",
    ],
)
def test_another_address_is_another_string(seen: str) -> None:
    """A slash, a letter's case, a scheme, a port that Twilio was told: each is a mismatch."""
    signature = signing.sign("https://h.example.com:9000/a", None, TOKEN)
    with pytest.raises(SignatureError) as caught:
        verify(seen, None, signature)
    assert caught.value.reason == "mismatch"


def test_json_is_signed_by_its_digest() -> None:
    """Address and bytes are checked both; without a digest there is no proof."""
    body = b'{"a": "b"}'
    signature = signing.sign(JSON_URL, None, TOKEN)
    json = {"headers": {"Content-Type": "application/json"}}
    assert verify(JSON_URL, body, signature, **json)["x"] == "1"
    for other in (b'{"a": "c"}', b"", None):
        with pytest.raises(SignatureError) as caught:
            verify(JSON_URL, other, signature, **json)
        assert caught.value.reason == "body"
    bare = "https://x.com/hook"
    with pytest.raises(SignatureError) as caught:
        verify(bare, body, signing.sign(bare, None, TOKEN), **json)
    assert caught.value.reason == "body"
    assert signing.body_digest(body) == hashlib.sha256(body).hexdigest()


def test_a_socket_is_signed_as_wss() -> None:
    """The upgrade's address is ``wss://…``; the same with ``https://`` is another string."""
    signature = signing.sign("wss://rt.example.com/media", None, TOKEN)
    assert verify("wss://rt.example.com/media", None, signature) == {}
    with pytest.raises(SignatureError):
        verify("https://rt.example.com/media", None, signature)


def test_shared_keys() -> None:
    """SHA-256 with the secret of the key that the header names; anything else is refused."""
    settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    keys = {"shared_keys": {"webhooks_sharedkey_1": "s3cret"}}
    signature = signing.sign(URL, WHATSAPP, "s3cret", algorithm="HMAC_SHA256")
    headers = {"headers": {"X-Twilio-Webhooks-Signature-Settings": settings}}
    assert verify(URL, WHATSAPP, signature, **headers, **keys) == WHATSAPP
    for said in (settings, settings.replace("SHA256", "MD5"), "algorithm=HMAC_SHA256"):
        with pytest.raises(SignatureError) as caught:
            verify(URL, WHATSAPP, signature, headers={"X-Twilio-Webhooks-Signature-Settings": said})
        assert caught.value.reason == "algorithm"
    # The auth token signs with SHA-1 only: its SHA-256 proves nothing.
    with pytest.raises(SignatureError):
        verify(URL, WHATSAPP, signing.sign(URL, WHATSAPP, TOKEN, algorithm="HMAC_SHA256"))
    with pytest.raises(InvalidArgumentError):
        signing.sign(URL, None, TOKEN, algorithm="MD5")  # type: ignore[arg-type]


def test_a_missing_signature_says_so() -> None:
    """Which of both it was, for whoever reads the log."""
    for headers in ({}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "  "}):
        with pytest.raises(SignatureError) as caught:
            client().verify_webhook(URL, headers, WHATSAPP)
        assert caught.value.reason == "missing"
        assert "missing" in str(caught.value)


@pytest.mark.parametrize("signature", ["x", "é", "\udcff", "=" * 10_000, "0/KCTR6DLpKmkAf8"])
def test_what_is_no_signature(signature: str) -> None:
    """A mismatch, never another exception; and never a hint at what would be right."""
    with pytest.raises(SignatureError) as caught:
        verify(URL, WHATSAPP, signature)
    error = caught.value
    right = signing.sign(URL, WHATSAPP, TOKEN)
    assert error.reason == "mismatch"
    assert right not in f"{error!r} {error} {error.__dict__}"
    assert TOKEN not in f"{error!r} {error}"
    assert error.__context__ is None


def test_tokens_while_one_is_being_changed() -> None:
    """Any of those given may have signed; the one of a sub-account too."""
    old, new = "old-token-0123456789", "new-token-0123456789"
    for token in (old, new):
        signature = signing.sign(URL, WHATSAPP, token)
        assert verify(URL, WHATSAPP, signature, auth_token=new, webhook_tokens=[old])
    with pytest.raises(SignatureError):
        verify(URL, WHATSAPP, signing.sign(URL, WHATSAPP, old), auth_token=new)
    rotated = client(auth_token=old)
    rotated.rotate_key(new)
    headers = signed(signing.sign(URL, WHATSAPP, new))
    assert rotated.verify_webhook(URL, headers, WHATSAPP)


def test_an_api_key_signs_nothing() -> None:
    """Beside a key the token is still needed, and is the one that counts."""
    keyed = TwilioClient(AC, api_key="SK1", api_key_secret="key-secret-0123")
    headers = signed(signing.sign(URL, WHATSAPP, "key-secret-0123"))
    with pytest.raises(MissingCredentialError, match="auth_token"):
        keyed.verify_webhook(URL, headers, WHATSAPP)
    both = TwilioClient(AC, TOKEN, api_key="SK1", api_key_secret="key-secret-0123")
    with pytest.raises(SignatureError):
        both.verify_webhook(URL, headers, WHATSAPP)
    assert both.verify_webhook(URL, signed(signing.sign(URL, WHATSAPP, TOKEN)), WHATSAPP)


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/twilio", b""),
        ("https://[a.b/c", b""),
        (None, b""),
        (URL, 7),
        (URL, {"a": 1}),
        (URL, {1: "a"}),
    ],
)
def test_wrong_arguments(url: Any, body: Any) -> None:
    """Named, and no content shown."""
    with pytest.raises(InvalidArgumentError):
        verify(url, body, "x")


def test_a_body_of_too_many_fields_is_refused_as_a_forgery() -> None:
    """Anybody may send it, so it is refused like all that Twilio did not sign: 403, and no 500."""
    with pytest.raises(SignatureError) as caught:
        verify(URL, b"&".join(b"secret=words" for _ in range(1001)), "x")
    assert caught.value.reason == "body"
    assert "words" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_a_surrogate_is_a_mismatch() -> None:
    """Twilio never sent it, so it only must not break anything."""
    with pytest.raises(SignatureError):
        verify(URL, {"Body": "\udcff"}, "x")
    with pytest.raises(SignatureError):
        verify(URL, b"Body=%ff%fe", "x")

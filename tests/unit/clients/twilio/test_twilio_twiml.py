"""TwiML: what it says, and that nothing in it can say more."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from voicekit.clients.twilio import twiml
from voicekit.errors import InvalidArgumentError

HOSTILE = "a <b> & \"c\" 'd' ]]> </Body><Hangup/>"


def tree(text: str) -> ET.Element:
    return ET.fromstring(text.encode())


def test_messages() -> None:
    """One, several, with files; a text is a message by itself."""
    root = tree(twiml.messaging("Hi", twiml.message("There", media=["https://a/1", "https://a/2"])))
    assert [each.tag for each in root] == ["Message", "Message"]
    assert root[0][0].text == "Hi"
    assert [(each.tag, each.text) for each in root[1]] == [
        ("Body", "There"), ("Media", "https://a/1"), ("Media", "https://a/2"),
    ]  # fmt: skip
    assert tree(twiml.messaging()).tag == tree(twiml.EMPTY).tag == "Response"
    message = tree(twiml.messaging(twiml.message("x", to="+1", from_="+2", action="https://a")))[0]
    assert message.attrib == {"to": "+1", "from": "+2", "action": "https://a"}


def test_calls() -> None:
    """The verbs, in order, with their attributes."""
    root = tree(twiml.voice(
        twiml.say("Ciao", language="it-IT", voice="Polly.Bianca", loop=2),
        twiml.play("https://a/1.mp3"), twiml.play(digits="1w2"), twiml.pause(2),
        twiml.connect_stream("wss://a/m", parameters={"lead": "42"}, action="https://a/x"),
        twiml.redirect("https://a/y", method="POST"), twiml.hangup(),
    ))  # fmt: skip
    assert [each.tag for each in root] == [
        "Say", "Play", "Play", "Pause", "Connect", "Redirect", "Hangup",
    ]  # fmt: skip
    assert root[0].attrib == {"language": "it-IT", "voice": "Polly.Bianca", "loop": "2"}
    assert root[2].attrib == {"digits": "1w2"}
    assert root[4][0].attrib == {"url": "wss://a/m"}
    assert root[4][0][0].attrib == {"name": "lead", "value": "42"}
    assert tree(twiml.voice(twiml.reject("busy")))[0].attrib == {"reason": "busy"}


def test_nothing_breaks_out() -> None:
    """Text is text, in elements and in attributes."""
    root = tree(twiml.messaging(HOSTILE))
    assert [each.tag for each in root.iter()] == ["Response", "Message", "Body"]
    assert root[0][0].text == HOSTILE
    said = tree(twiml.voice(twiml.say(HOSTILE, voice=HOSTILE)))
    assert (said[0].text, said[0].attrib["voice"]) == (HOSTILE, HOSTILE)


@pytest.mark.parametrize(
    "make",
    [
        twiml.message,
        lambda: twiml.message("a\x00b"),
        lambda: twiml.message("a\ud800b"),
        lambda: twiml.say("a\x0b"),
        twiml.play,
        lambda: twiml.play("https://a", digits="1"),
        lambda: twiml.connect_stream("https://a"),
        lambda: twiml.connect_stream("wss://a?b=1"),
        lambda: twiml.voice("<Hangup/>"),  # type: ignore[arg-type]
        lambda: twiml.say(7),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_sense(make: Any) -> None:
    """Refused, and the text not quoted."""
    with pytest.raises(InvalidArgumentError):
        make()

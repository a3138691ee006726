"""Utterances, channels and paragraphs, and the subtitles made of them."""

from __future__ import annotations

import html
import pickle
import re

from hypothesis import given
from hypothesis import strategies as st

from voicekit.speech import (
    Channel,
    Paragraph,
    PendingTranscript,
    Transcript,
    Usage,
    Utterance,
    Word,
)

CLOCK = r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"
TIMES = re.compile(f"{CLOCK} --> {CLOCK}")
VOICE = re.compile(r"<v ([^<>]+)>")


def parsed(text: str) -> list[tuple[float, float, str | None, str]]:
    """What a WebVTT parser makes of a file: start, end, voice and text of each cue."""
    blocks = re.split("\r\n|\r|\n", text)
    assert blocks[:2] == ["WEBVTT", ""], "the signature, then a blank line"
    cues = []
    for block in re.split(r"\n{2,}", "\n".join(blocks[2:]).strip("\n")):
        if not block:
            continue
        times, payload = block.split("\n")
        match = TIMES.fullmatch(times)
        assert match
        h, m, s, ms, *rest = map(int, match.groups())
        start = h * 3600 + m * 60 + s + ms / 1000
        h, m, s, ms = rest
        end = h * 3600 + m * 60 + s + ms / 1000
        voice = VOICE.match(payload)
        said = payload[voice.end() :] if voice else payload
        assert "<" not in said
        assert "-->" not in payload
        assert re.fullmatch(r"(?:[^&]|&amp;|&lt;|&gt;)*", said)
        cues.append((start, end, html.unescape(voice[1]) if voice else None, html.unescape(said)))
    return cues


SAID = (
    Utterance(text="Hello there.", start=0.5, end=1.5, speaker=0, confidence=0.9),
    Utterance(
        text="Hi.",
        start=1.4,
        end=1.9,
        speaker=1,
        words=(Word(text="hi", start=1.4, end=1.9, punctuated="Hi."),),
    ),
)


class TestSubtitles:
    def test_a_cue_holds_one_speaker_s_utterance(self):
        """Utterances go before words: they overlap where people talk at once."""
        words = (Word(text="all", start=0, end=1), Word(text="mixed", start=1, end=2))
        transcript = Transcript(text="…", words=words, utterances=SAID)
        assert transcript.to_srt() == (
            "1\n00:00:00,500 --> 00:00:01,500\nHello there.\n\n"
            "2\n00:00:01,400 --> 00:00:01,900\nHi.\n"
        )
        assert transcript.to_vtt() == (
            "WEBVTT\n\n"
            "00:00:00.500 --> 00:00:01.500\nHello there.\n\n"
            "00:00:01.400 --> 00:00:01.900\nHi.\n"
        )

    def test_speakers_are_named_when_asked_for(self):
        """By number, by label, by channel, or by the names that the caller knows."""
        transcript = Transcript(text="…", utterances=SAID)
        assert "\nSpeaker 0: Hello there.\n" in transcript.to_srt(speakers=True)
        assert "\nAnn: Hello there.\n" in transcript.to_srt(speakers={0: "Ann"})
        assert "\nSpeaker 1: Hi.\n" in transcript.to_srt(speakers={0: "Ann"})
        assert "\n<v A &amp; B>Hello there.\n" in transcript.to_vtt(speakers={0: "A & B"})
        labelled = Utterance(text="Yes", start=0, end=1, speaker="speaker_7", channel=1)
        assert "\nspeaker_7: Yes\n" in Transcript(text="", utterances=(labelled,)).to_srt(
            speakers=True
        )
        channel = Utterance(text="Yes", start=0, end=1, channel=1)
        assert "\nChannel 1: Yes\n" in Transcript(text="", utterances=(channel,)).to_srt(
            speakers=True
        )
        nobody = Utterance(text="Yes", start=0, end=1)
        assert "\nYes\n" in Transcript(text="", utterances=(nobody,)).to_srt(speakers=True)

    def test_words_of_two_speakers_share_no_cue(self):
        """Without utterances a cue ends where another speaker begins."""
        words = (
            Word(text="one", start=0.0, end=0.2, speaker=0),
            Word(text="two", start=0.2, end=0.4, speaker=0),
            Word(text="three", start=0.4, end=0.6, speaker=1),
        )
        cues = parsed(Transcript(text="…", words=words).to_vtt(speakers=True))
        assert [cue[2:] for cue in cues] == [("Speaker 0", "one two"), ("Speaker 1", "three")]

    def test_words_of_two_channels_share_no_cue(self):
        """People who talk at once, each in a channel, are shown in the order of time."""
        agent = (Word(text="hello", start=0.0, end=0.4), Word(text="bye", start=6.0, end=6.4))
        caller = (Word(text="hi", start=0.2, end=0.5),)
        transcript = Transcript(
            text="hello bye\nhi",
            words=agent + caller,
            channels=(
                Channel(index=0, text="hello bye", words=agent),
                Channel(index=1, text="hi", words=caller),
            ),
        )
        cues = parsed(transcript.to_vtt(speakers=True))
        assert [cue[2:] for cue in cues] == [
            ("Channel 0", "hello"),
            ("Channel 1", "hi"),
            ("Channel 0", "bye"),
        ]

    def test_a_long_utterance_without_words_is_spread_over_its_time(self):
        """Cues stay readable, and cover the utterance from its start to its end."""
        long = Utterance(text="word " * 60, start=10.0, end=40.0)
        cues = parsed(Transcript(text="", utterances=(long,)).to_vtt())
        assert len(cues) >= 5
        assert (cues[0][0], cues[-1][1]) == (10.0, 40.0)
        assert all(end - start <= 7.001 for start, end, _, _ in cues)
        assert " ".join(cue[3] for cue in cues).split() == ["word"] * 60

    def test_what_looks_like_markup_is_text(self):
        """No text can end a cue, begin a tag or pass for a time."""
        said = "a --> b\n\n<i>c</i> &amp; \u2028d"
        cues = parsed(Transcript(text=said, duration=2.0).to_vtt())
        assert cues == [(0.0, 2.0, None, "a --> b <i>c</i> &amp; d")]

    def test_nothing_heard_is_an_empty_file(self):
        """A file without cues is a valid one."""
        assert Transcript(text="").to_vtt() == "WEBVTT\n"
        assert (
            Transcript(text=" ", utterances=(Utterance(text=" ", start=0, end=1),)).to_srt() == ""
        )


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
MOMENT = st.floats(0, 1e6, allow_nan=False)


@st.composite
def utterances(draw: st.DrawFn) -> Utterance:
    start = draw(MOMENT)
    words = draw(st.lists(st.tuples(TEXT, MOMENT, st.floats(0, 100)), max_size=5))
    return Utterance(
        text=draw(TEXT),
        start=start,
        end=start + draw(st.floats(0, 100)),
        speaker=draw(st.none() | st.integers(0, 9) | TEXT),
        words=tuple(Word(text=text, start=at, end=at + lasts) for text, at, lasts in words),
    )


@given(st.lists(utterances(), max_size=5), st.booleans())
def test_webvtt_always_parses(said, speakers):
    """Whatever was said: cues in order, each ending after its start, every word in them."""
    cues = parsed(Transcript(text="", utterances=tuple(said)).to_vtt(speakers=speakers))
    starts = [start for start, *_ in cues]
    assert starts == sorted(starts)
    assert all(end > start for start, end, *_ in cues)
    expected = sorted(
        word
        for each in said
        for text in ([word.text for word in each.words] if each.words else [each.text])
        for word in text.split()
    )
    assert sorted(word for *_, text in cues for word in text.split()) == expected


def test_values_are_values():
    """Hashable, the same after pickling, and silent about what was said."""
    secret = "marked-speech"
    word = Word(text=secret, start=0, end=1)
    for value in (
        Utterance(text=secret, start=0, end=1, words=(word,)),
        Channel(index=0, text=secret, words=(word,)),
        Paragraph(text=secret, start=0, end=1),
        Transcript(
            text=secret,
            utterances=(Utterance(text=secret, start=0, end=1),),
            channels=(Channel(index=0, text=secret),),
            usage=Usage(audio_seconds=1.0),
        ),
        PendingTranscript(request_id="r1", raw={"text": secret}),
    ):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(value) == hash(pickle.loads(pickle.dumps(value)))
        assert secret not in repr(value)

"""What a provider answers and how fast: declarative, frozen, seeded."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voicekit.emulator.providers.agentforce_turn import AgentFraming, AgentReplies, AgentTurn

Range = float | tuple[float, float]
"""Seconds: one number, or a (low, high) pair from which the seeded generator draws uniformly."""


def draw(spread: Range, rng: random.Random) -> float:
    """Return seconds from a range; a plain number draws nothing."""
    return rng.uniform(*spread) if isinstance(spread, tuple) else spread


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One scripted function call; `arguments` is the JSON text as the model would write it."""

    name: str
    arguments: str = "{}"
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted chat answer.

    Attributes:
        text: The answer; it streams in word-sized pieces.
        refusal: A refusal in its place.
        tool_calls: Function calls, in order.
        finish_reason: None derives it: "tool_calls" when there are any, else "stop".
        usage: Usage fields that replace the counted ones.
        pieces: The exact deltas of the text, when the split itself matters.
        reasoning: What a model that reasons tells of it, before the answer; None is a model that
            does not. Of the Responses API only.
    """

    text: str = ""
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    pieces: tuple[str, ...] | None = None
    reasoning: str | None = None


Answer = str | Reply
Replies = Answer | Mapping[str, Answer] | Callable[[str], Answer]

OPENING_HOURS = (
    "We are open from nine in the morning until six in the evening, Monday through Friday, "
    "and on Saturdays from ten until two. On Sundays and public holidays we are closed. "
    "Is there anything else I can help you with today?"
)
"""Longer than 120 characters, so that speech scheduled after 50 starts while text still comes."""


def _scripted(replies: Any, said: str) -> Any:
    if callable(replies):
        return replies(said)
    if isinstance(replies, Mapping):
        return replies.get(said, replies.get("", ""))
    return replies


def _typical_answer(said: str) -> Answer:
    plain = " ".join(said.lower().split()).strip(" ?.!")
    if "opening hours" in plain or "open" in plain.split():
        return OPENING_HOURS
    if not plain:
        return "I did not hear a question. Could you say that again, a little closer to me?"
    return (
        f"You said: {' '.join(said.split()).strip(' ?.!')}. I am only an emulator, so I cannot "
        "look that up for you, but everything between your voice and this answer was real."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Latency, cadence and replies of one emulated world. Times in seconds.

    Attributes:
        chat_first_token: From the whole request to the first token.
        chat_token_gap: Between tokens.
        speech_first_audio: From text that may be spoken to its first audio.
        speech_first_audio_cold: The same for the first request on a connection; None is equal.
        speech_real_time_factor: Seconds of work per second of audio; 0.0 is at once.
        speech_chunk_bytes: Largest piece of audio written at once.
        transcript_final: From the end of an utterance (or the client's request) to its final.
        transcript_interim_every: Seconds of audio between interim results.
        replies: Chat answers by the last user text: one answer, a mapping (its default under ""),
            or a function. Answers are scripted; what is *heard* never is with real speech.
        heard: Only for `speech="tones"`, which has no ears: the words that a listener gets, spread
            over the audio sent; a string, or a function of the audio's seconds. A `Spoken` (of
            `voicekit.emulator.spoken`) puts each word at its place in a recording that tells
            where in it one is: live listening then hears what was really sent.
        agent_token_issue: From a request for an agent's access token to the token.
        agent_token_lifetime: How long it is good; whole seconds make claims in whole seconds.
        agent_attached: Whether the app is attached to the agent; if not, every call is a 401.
        agent_session_open: From a request for a session to the session.
        agent_greeting: What the agent says first; None is nothing.
        agent_session_turns: How many turns a session has before it is lost; None is no limit.
        agent_session_idle: Seconds without a turn after which it is lost; None is never.
        agent_strict_sequence: Whether a number that did not grow is refused, or only noted.
        agent_first_event: From a message to the turn's progress indicators, if it has any.
        agent_first_text: From a message to the first chunk, or to the whole answer.
        agent_chunks: Pieces in which an answer streams; 0 is only the whole.
        agent_chunk_gap: Between them, and before the whole.
        agent_timeout: How long a turn may take before it ends in an error.
        agent_replies: Agents' answers by the user's text, as `replies`, with `AgentTurn` for
            what is more than text. None takes `replies`.
        agent_framing: How the event stream is written.
        media_download: From a request for a message's file to its first byte: a third until the
            redirect, the rest at the host it leads to.
        media_not_ready: How often a file is answered with 404 before it is there.
        message_accept: From the whole request to send a message to its answer.
        message_statuses: The statuses that a message goes through and, of each, the seconds since
            it was accepted; repeat one for a doubled callback, in any order. A delay below zero is
            called back before the sender has its answer.
        message_error: Code with which messages fail after they were accepted: one for all, or by
            recipient (its default under ""); None lets them through.
        message_window: Seconds since a user's last message in which WhatsApp takes a free text;
            outside of it messages fail with 63016. None does not look.
        message_fetches_media: Whether the files of outbound messages are really fetched from their
            URLs, as the vendor does, and judged.
        call_statuses: The same as `message_statuses`, of calls; a call that this leaves in
            progress lasts until somebody ends it.
    """

    name: str
    chat_first_token: Range = 0.0
    chat_token_gap: Range = 0.0
    speech_first_audio: Range = 0.0
    speech_first_audio_cold: Range | None = None
    speech_real_time_factor: float = 0.0
    speech_chunk_bytes: int = 8192
    transcript_final: Range = 0.0
    transcript_interim_every: float = 1.0
    replies: Replies = _typical_answer
    heard: str | Callable[[float], str] | None = "what are your opening hours today"
    agent_token_issue: Range = 0.0
    agent_token_lifetime: float = 1800.0
    agent_attached: bool = True
    agent_session_open: Range = 0.0
    agent_greeting: str | None = "Hello, I am the emulator's agent. How can I help you?"
    agent_session_turns: int | None = None
    agent_session_idle: float | None = None
    agent_strict_sequence: bool = False
    agent_first_event: Range = 0.0
    agent_first_text: Range = 0.0
    agent_chunks: int = 4
    agent_chunk_gap: Range = 0.0
    agent_timeout: float = 120.0
    agent_replies: AgentReplies | None = None
    agent_framing: AgentFraming = field(default_factory=AgentFraming)
    media_download: Range = 0.0
    media_not_ready: int = 0
    message_accept: Range = 0.0
    message_statuses: tuple[tuple[str, Range], ...] = (("sent", 0.0), ("delivered", 0.0))
    message_error: int | Mapping[str, int] | None = None
    message_window: float | None = None
    message_fetches_media: bool = False
    call_statuses: tuple[tuple[str, Range], ...] = (("ringing", 0.0), ("in-progress", 0.0))

    def reply_to(self, said: str) -> Reply:
        """Return the scripted answer to a user's text."""
        found: Answer = _scripted(self.replies, said)
        return found if isinstance(found, Reply) else Reply(text=found)

    def agent_turn(self, said: str) -> AgentTurn:
        """Return what an agent is scripted to do with a user's text.

        Without `agent_replies` it says what `replies` says.
        """
        if self.agent_replies is None:
            return AgentTurn(text=self.reply_to(said).text)
        found: str | AgentTurn = _scripted(self.agent_replies, said)
        return found if isinstance(found, AgentTurn) else AgentTurn(text=found)

    def with_replies(self, replies: Replies) -> Scenario:
        """Return this scenario with other chat answers."""
        return replace(self, replies=replies)


SCENARIOS: Mapping[str, Scenario] = {
    # Zero everywhere: what a benchmark measures is then the client and the loopback.
    "instant": Scenario(name="instant"),
    "typical": Scenario(
        name="typical",
        # Source: openai-processing-ms of 481 in a recorded chat answer (openai-dotnet session
        # records, 2026) is the upper end; the lower end and the gaps are chosen, no vendor
        # states them.
        chat_first_token=(0.30, 0.48),
        chat_token_gap=(0.010, 0.020),
        # Source: ElevenLabs models page: about 75 ms of inference for flash v2.5; its help pages:
        # about 50 ms more when requests queue. Its 150-200 ms to first byte include the network,
        # which is the link's part here. The real-time factor is chosen.
        speech_first_audio=(0.075, 0.125),
        speech_real_time_factor=0.05,
        # Chosen; Deepgram states none. The real ears read a short question within it (measured:
        # 0.25 s for 2.4 s of speech), so that their varying time shows in no turn. Interims "about
        # once a second" are its documentation's.
        transcript_final=(0.30, 0.35),
        transcript_interim_every=1.0,
        # Source: this project's design document, timings of a WhatsApp agent: session open 1.0 s,
        # agent 2.15 s; the fact sheet's published captures (4.8 s and more) are the slower end.
        # Their chunks come late and 0.15 s apart.
        agent_session_open=1.0,
        agent_first_event=(0.8, 1.2),
        agent_first_text=(2.15, 4.8),
        agent_chunk_gap=(0.10, 0.15),
    ),
    "phone": Scenario(
        name="phone",
        # Source: this project's design document, timings of a phone agent: handoff 2 ms, first
        # token 1,166-1,539 ms, speech 639-642 ms cold and 420 ms warm. Gaps as in `typical`.
        transcript_final=0.002,
        chat_first_token=(1.166, 1.539),
        chat_token_gap=(0.010, 0.020),
        speech_first_audio=0.420,
        speech_first_audio_cold=(0.639, 0.642),
        speech_real_time_factor=0.05,
        # As in `whatsapp`, chunks as in `typical`.
        agent_session_open=1.0,
        agent_first_event=0.8,
        agent_first_text=2.15,
        agent_chunk_gap=(0.10, 0.15),
    ),
    "whatsapp": Scenario(
        name="whatsapp",
        # Source: this project's design document, timings of a WhatsApp assistant: transcription
        # 1.23 s, agent 2.15 s for the whole turn, session open 1.0 s, speech 2-4 s.
        transcript_final=1.23,
        agent_session_open=1.0,
        agent_first_event=0.8,
        agent_first_text=2.15,
        speech_first_audio=(2.0, 4.0),
        # Media 0.45 s, by the same document. `Twilio-Request-Duration` was 0.080 in a recorded
        # answer; how long a message takes to its reader is chosen. 24 h are WhatsApp's own.
        media_download=0.45,
        message_accept=0.080,
        message_statuses=(("sent", 0.2), ("delivered", 0.5), ("read", 2.0)),
        message_window=86_400.0,
        message_fetches_media=True,
    ),
}
"""The named scenarios."""


def scenario(named: str | Scenario) -> Scenario:
    """Return a scenario by name, or the one given.

    Raises:
        ValueError: The name is unknown; the message lists the known ones.
    """
    if isinstance(named, Scenario):
        return named
    try:
        return SCENARIOS[named]
    except KeyError:
        raise ValueError(
            f"unknown scenario {named!r}; one of {', '.join(sorted(SCENARIOS))}"
        ) from None

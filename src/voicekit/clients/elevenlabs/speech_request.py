"""What is asked for over HTTP: a text with all its settings, whole, a part of one, or the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from voicekit.clients.elevenlabs.models import KNOWN_TO_STITCH
from voicekit.clients.elevenlabs.passages import CONTEXT
from voicekit.clients.settings import Asked, dumps, identity_of
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest(Asked):
    """What is to be spoken and how, validated and as JSON, so that nothing changes it any more.

    Made by ``ElevenLabsClient.request()``; may be sent any number of times.

    Attributes:
        text: The words.
        format: What the audio will be.
        target: Path and query.
        body: JSON, encoded.
        whole: The endpoint answers when all of it is made: it cannot be streamed.
        timed: Which text's characters come with their times; None for none.
        parts: The requests that speak it one after the other, when one does not.
        continues: The ids of earlier parts may be named, for the prosody.
        resume: What breaks off may be asked for again.
    """

    text: str = field(repr=False)
    format: AudioFormat
    target: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None
    whole: bool = False
    timed: Literal["original", "normalized"] | None = None
    parts: tuple[SpeechRequest, ...] = ()
    continues: bool = False
    resume: bool = False

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the audio. Holds content: never log it.

        Streamed or whole is no part of it: the audio is the same.
        """
        facts: dict[str, Any] = {"target": self.target, "body": json.loads(self.body)}
        if self.timed == "normalized":
            facts["timed"] = self.timed
        if self.parts:
            facts["parts"] = [len(part.text) for part in self.parts]
        return identity_of("elevenlabs", self.headers, **facts)

    def after(self, ids: Sequence[str]) -> SpeechRequest:
        """This part, when these requests have spoken those before it."""
        if not ids or not self.continues:
            return self
        named = f',"previous_request_ids":{dumps(list(ids))}}}'
        return replace(self, body=self.body[:-1] + named.encode())

    def without(self, spoken: str) -> SpeechRequest:
        """The rest, when the beginning of its text has been spoken by a request that broke.

        Which requests spoke before is not said: the one that broke has said too much.
        """
        if not spoken:
            return self
        body = json.loads(self.body)
        body["text"] = text = self.text.removeprefix(spoken)
        for name in ("previous_request_ids", "previous_text"):
            body.pop(name, None)
        if body.get("model_id") in KNOWN_TO_STITCH:
            from voicekit.speech.sentences import passages

            body["previous_text"] = passages(spoken, most=CONTEXT)[-1]
        return replace(self, text=text, body=dumps(body).encode(), continues=False)

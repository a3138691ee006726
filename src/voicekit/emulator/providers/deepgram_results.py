"""The JSON messages of Deepgram's live transcription. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from voicekit.emulator.providers.deepgram_query import MODEL_UUID, ListenOptions, model_info

Word = tuple[str, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Builds the messages of one stream, whose `channels` are transcribed one by one."""

    request_id: str
    options: ListenOptions
    channels: int = 1

    def results(
        self,
        words: Sequence[Word],
        *,
        channel: int,
        start: float,
        end: float,
        is_final: bool,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> dict[str, Any]:
        """Return a `Results` message; the words' times are absolute in the stream."""
        words = [self._replaced(word) for word in words]
        confidence = sum(word[3] for word in words) / len(words) if words else 0.0
        plain = [self._word(word) for word in words]
        transcript = " ".join(word[0] for word in words)
        if self.options.punctuate and words:
            spelled = _sentence([word[0] for word in words], ended=is_final and speech_final)
            for each, punctuated in zip(plain, spelled, strict=True):
                each["punctuated_word"] = punctuated
            transcript = " ".join(spelled)
        alternative: dict[str, Any] = {
            "transcript": transcript,
            "confidence": round(confidence, 4),
            "words": plain,
        }
        if self.options.language == "multi":
            alternative["languages"] = ["en"] if words else []
        return {
            "type": "Results",
            "channel_index": [channel, self.channels],
            "duration": round(end - start, 4),
            "start": round(start, 4),
            "is_final": is_final,
            "speech_final": speech_final,
            "channel": {"alternatives": [alternative]},
            "metadata": {
                "request_id": self.request_id,
                "model_info": model_info(self.options.model),
                "model_uuid": MODEL_UUID,
            },
            "from_finalize": from_finalize,
        }

    def metadata(self, *, sha256: str, duration: float) -> dict[str, Any]:
        """Return the `Metadata` message that ends a stream; `duration` in seconds."""
        told = metadata(
            self.request_id,
            sha256=sha256,
            duration=duration,
            channels=self.channels,
            model=self.options.model,
        )
        return {"type": "Metadata", **told}

    def speech_started(self, *, channel: int, at: float) -> dict[str, Any]:
        """Return a `SpeechStarted` message."""
        return {
            "type": "SpeechStarted",
            "channel": [channel, self.channels],
            "timestamp": round(at, 2),
        }

    def utterance_end(self, *, channel: int, last_word_end: float) -> dict[str, Any]:
        """Return an `UtteranceEnd` message."""
        return {
            "type": "UtteranceEnd",
            "channel": [channel, self.channels],
            "last_word_end": round(last_word_end, 2),
        }

    def configured(self, **told: Any) -> dict[str, Any]:
        """Return the answer to a `Configure`; one that tells a code is a failure."""
        kind = "ConfigureFailure" if "code" in told else "ConfigureSuccess"
        return {"type": kind, "request_id": self.request_id, **told}

    @staticmethod
    def error(
        description: str, *, variant: str = "SchemaError", code: str | None = None
    ) -> dict[str, Any]:
        """Return an `Error` message."""
        told = {
            "type": "Error",
            "variant": variant,
            "description": description,
            "message": description,
        }
        return told if code is None else {**told, "code": code}

    def _word(self, word: Word) -> dict[str, Any]:
        text, start, end, confidence = word
        plain: dict[str, Any] = {
            "word": text,
            "start": round(start, 4),
            "end": round(end, 4),
            "confidence": round(confidence, 4),
        }
        if self.options.diarize:
            plain["speaker"] = 0
        if self.options.language == "multi":
            plain["language"] = "en"
        return plain

    def _replaced(self, word: Word) -> Word:
        for found, put in self.options.replacements:
            if word[0].lower() == found:
                return (put, *word[1:])
        return word


def metadata(
    request_id: str, *, sha256: str, duration: float, channels: int, model: str
) -> dict[str, Any]:
    """Return what streams and files tell of themselves; `duration` in seconds."""
    return {
        "transaction_key": "deprecated",
        "request_id": request_id,
        "sha256": sha256,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration": round(duration, 4),
        "channels": channels,
        "models": [MODEL_UUID],
        "model_info": {MODEL_UUID: model_info(model)},
    }


def _sentence(words: Sequence[str], *, ended: bool) -> list[str]:
    """Spell words as a sentence: the first capitalised, the last followed by its full stop."""
    spelled = list(words)
    spelled[0] = spelled[0][:1].upper() + spelled[0][1:]
    if ended:
        spelled[-1] += "."
    return spelled

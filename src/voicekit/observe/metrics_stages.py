"""The stages of a voice assistant: measured by hand, or taken from the calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from voicekit.observe.metrics import Metrics

STAGES: Final[dict[str, dict[str, str]]] = {
    "download_time": {"download_media": "duration", "stream_media": "duration"},
    "stt_time": {"transcribe": "duration", "stream_transcription": "duration"},
    "agentforce_time": {"send": "duration", "stream_message": "duration"},
    "tts_time": {
        "synthesize": "duration",
        "stream_speech": "first_output",
        "open_speech": "first_output",
    },
    "total_time": {},
}
"""By stage: the operations that are this stage, and what of them is its time. Of what is heard
while it comes that is the first output, since the rest takes as long as it is spoken."""


class StageTimer:
    """Measures one block; ``Metrics.stage`` makes it. For one block only."""

    __slots__ = ("_began", "_clock", "_name", "_stages")

    def __init__(self, stages: Metrics, name: str, clock: Callable[[], float]) -> None:
        self._stages, self._name, self._clock = stages, name, clock
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = self._clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self._stages.observe_stage(self._name, max(self._clock() - self._began, 0.0))
        elif issubclass(kind, Exception):  # a cancellation is none
            self._stages.stage_failed(self._name)

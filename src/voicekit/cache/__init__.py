"""What was paid for once is not paid for again: speech, answers, sessions, over any storage.

Names are loaded on first use: who only needs the seam pays for no cache.
"""

# ruff: noqa: I001 - as in the package above: type checkers read the imports, the table serves

from __future__ import annotations

from voicekit.lazy import loader

TYPE_CHECKING = False

if TYPE_CHECKING:
    from voicekit.cache.flights import Flights as Flights
    from voicekit.cache.follower import Follower as Follower
    from voicekit.cache.memory import MemoryStorage as MemoryStorage
    from voicekit.cache.normalize import normalized as normalized
    from voicekit.cache.response import (
        Question as Question,
        ResponseCache as ResponseCache,
        ResponseCacheStats as ResponseCacheStats,
    )
    from voicekit.cache.sessions import (
        SessionStore as SessionStore,
        SessionStoreStats as SessionStoreStats,
    )
    from voicekit.cache.speech import SpeechCache as SpeechCache
    from voicekit.cache.speech_reports import (
        PreloadedPhrase as PreloadedPhrase,
        PreloadReport as PreloadReport,
        SpeechCacheStats as SpeechCacheStats,
    )
    from voicekit.cache.storage import (
        Storage as Storage,
        StorageStats as StorageStats,
    )
    from voicekit.cache.tape import Tape as Tape

_NAMES = {
    "voicekit.cache.flights": ("Flights",),
    "voicekit.cache.follower": ("Follower",),
    "voicekit.cache.memory": ("MemoryStorage",),
    "voicekit.cache.normalize": ("normalized",),
    "voicekit.cache.response": ("Question", "ResponseCache", "ResponseCacheStats"),
    "voicekit.cache.sessions": ("SessionStore", "SessionStoreStats"),
    "voicekit.cache.speech": ("SpeechCache",),
    "voicekit.cache.speech_reports": ("PreloadReport", "PreloadedPhrase", "SpeechCacheStats"),
    "voicekit.cache.storage": ("Storage", "StorageStats"),
    "voicekit.cache.tape": ("Tape",),
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - one table, not typed twice

if not TYPE_CHECKING:
    __getattr__ = loader(__name__, _WHERE)


def __dir__() -> list[str]:
    return list(__all__)

"""What was paid for once is not paid for again: speech, answers, sessions, over any storage."""

from voicekit.cache.storage import Storage, StorageStats

__all__ = ["Storage", "StorageStats"]

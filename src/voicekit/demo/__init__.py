"""``python -m voicekit demo``: a spoken question answered aloud, cold and then warm."""

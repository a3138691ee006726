"""``python -m voicekit demo``: a spoken question answered aloud, cold, warm, and asked again."""

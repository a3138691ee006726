"""Sans-IO codecs: bytes in, events out; no asyncio, no third party."""

"""The same clients, blocking: for scripts, threads and notebooks.

One event loop in a background thread serves every blocking client of the process, so that
all threads share their warm connections. Names, parameters, defaults and results are those
of ``voicekit``; what is awaited there blocks here, and ``aclose`` is ``close``.
"""

from voicekit.sync.client import Transport
from voicekit.sync.openai import OpenAIClient

__all__ = ["OpenAIClient", "Transport"]

"""What the application is told by its environment; the clients read their own keys there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that one deployment has different from another.

    Attributes:
        public_url: ``https://…``, as Twilio reaches us; webhooks are signed over it.
        metrics_token: Whoever shows it may read ``/metrics``; drawn, and so nobody, by default.
        media_secret: Signs the addresses of voice replies; None draws one per process.
        port: To listen on.
        voice: Of the replies, an id of ElevenLabs.
        voice_format: Opus plays as a voice note; at this rate 170 s stay below WhatsApp's 512 KB.
        conversations: To be served at once; the pools are as large.
        look_every_s: Seconds between two looks at health and alerts.
        breaker_s: Seconds for which a provider that fails is left alone before it is tried.
        patience_s: Seconds for which a message waits for a provider that is left alone.
        drain_s: Seconds that conversations may take to end after SIGTERM.
        reply_valid_s: A reply that is not delivered within so many seconds is dropped.
    """

    public_url: str
    metrics_token: str = field(default_factory=token_urlsafe, repr=False)
    media_secret: str | None = field(default=None, repr=False)
    port: int = 8080
    voice: str = "21m00Tcm4TlvDq8ikWAM"
    voice_format: str = "opus_48000_32"
    conversations: int = 200
    look_every_s: float = 5.0
    breaker_s: float = 2.0
    patience_s: float = 12.0
    drain_s: float = 20.0
    reply_valid_s: int = 300

    @classmethod
    def from_environment(cls) -> Self:
        """``PUBLIC_URL``, ``PORT`` and the rest, as the README lists them.

        Raises:
            SystemExit: The one that is needed is missing.
        """
        env = os.environ
        if not env.get("PUBLIC_URL"):
            raise SystemExit("PUBLIC_URL is missing: https://… as Twilio reaches this application")
        return cls(
            public_url=env["PUBLIC_URL"].rstrip("/"),
            metrics_token=env.get("METRICS_TOKEN") or token_urlsafe(),
            media_secret=env.get("MEDIA_SECRET") or None,
            port=int(env.get("PORT", "8080")),
            voice=env.get("VOICE", "21m00Tcm4TlvDq8ikWAM"),
            voice_format=env.get("VOICE_FORMAT", "opus_48000_32"),
            conversations=int(env.get("CONVERSATIONS", "200")),
            look_every_s=float(env.get("LOOK_SECONDS", "5")),
            breaker_s=float(env.get("BREAKER_SECONDS", "2")),
            patience_s=float(env.get("PATIENCE_SECONDS", "12")),
            drain_s=float(env.get("DRAIN_SECONDS", "20")),
        )

"""The emulator in the running event loop: one port per provider."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from voicekit.emulator.endpoints import Addresses, Endpoint
from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.faults import Fault, Faults
from voicekit.emulator.journal import ConnectionRecord, Journal
from voicekit.emulator.port import Port
from voicekit.emulator.providers import PROVIDERS, load, with_companions
from voicekit.emulator.providers.base import Context
from voicekit.emulator.scenario import Scenario
from voicekit.emulator.scenario import scenario as named_scenario
from voicekit.emulator.tls import Authority, require_tls

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from voicekit.emulator.ears import Ears
    from voicekit.emulator.link import Link
    from voicekit.emulator.providers.twilio_calls_back import CallsBack
    from voicekit.emulator.thread import ThreadedEmulator
    from voicekit.emulator.voice import Voice

SPEAKING = frozenset({"elevenlabs", "deepgram"})
"""Providers that need a voice or ears."""


class Emulator(Addresses):
    """A wire-level stand-in for the providers, served from the running event loop.

    `async with Emulator() as world:` is the usual form; `Emulator.in_thread()` serves blocking
    callers and `EmulatorProcess` keeps the server's work off the caller's core. Leaving stops
    within a second, whatever the handlers are doing.

    Args:
        providers: Whom to serve; each gets its own port.
        tls: Serve https and wss with a throw-away authority (`ca_file`), names `localhost`,
            `127.0.0.1` and `::1`.
        scenario: A name from `SCENARIOS`, or a `Scenario`.
        link: The network in front, or None for bare loopback.
        seed: Seeds every draw.
        speech: "tones" is self-checking audio and no ears; "real" speaks and listens.
        host: Address to listen on.
        keepalive_timeout: Seconds after which an idle connection is closed.
        port_base: First port, one more per provider in order; None takes free ones.

    Raises:
        EmulatorError: An extra that was asked for is not installed.
        ValueError: Unknown provider or scenario.
    """

    def __init__(
        self,
        *,
        providers: Iterable[str] = tuple(PROVIDERS),
        tls: bool = False,
        scenario: str | Scenario = "typical",
        link: Link | None = None,
        seed: int = 0,
        speech: Literal["tones", "real"] = "tones",
        host: str = "127.0.0.1",
        keepalive_timeout: float = 75.0,
        port_base: int | None = None,
    ) -> None:
        super().__init__()
        self.providers = tuple(providers)
        for name in self.providers:
            if name not in PROVIDERS:
                raise ValueError(f"unknown provider {name!r}; one of {', '.join(PROVIDERS)}")
        if speech not in {"tones", "real"}:
            raise ValueError(f"speech is 'tones' or 'real', not {speech!r}")
        if speech == "real":
            _require_speech()
        self.journal = Journal()
        self._scenario = named_scenario(scenario)
        self._link = link
        self._seed = seed
        self._speech = speech
        self._host = host
        self._keepalive_timeout = keepalive_timeout
        self._port_base = port_base
        self._tls = tls
        if tls:
            require_tls()
        self._ports: dict[str, Port] = {}
        self._closing = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.endpoints.clear()
        await self._closing.aclose()

    async def _start(self) -> None:
        server_ssl = self._make_tls() if self._tls else None
        voice, ears = await self._make_speech()
        for index, name in enumerate(with_companions(self.providers)):
            context = Context(
                provider=name,
                journal=self.journal,
                faults=Faults(f"{self._seed}/{name}"),
                scenario=lambda: self._scenario,
                seed=self._seed,
                voice=voice,
                ears=ears,
                world=self,
            )
            port = Port(load(name)(context), ssl_context=server_ssl, link=self._link)
            self._closing.push_async_callback(port.stop)
            await port.start(
                host=self._host,
                port=0 if self._port_base is None else self._port_base + index,
                keepalive_timeout=self._keepalive_timeout,
            )
            self._ports[name] = port
            self.endpoints[name] = Endpoint(
                provider=name,
                host="localhost" if self._tls else self._host,
                port=port.number,
                tls=self._tls,
            )

    def _make_tls(self) -> ssl.SSLContext:
        directory = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="voicekit-ca-"))
        authority = Authority()
        self.ca_file = authority.write(Path(directory))
        return authority.server_context(self._host)

    async def _make_speech(self) -> tuple[Voice, Ears | None]:
        from voicekit.emulator.material import TonesVoice

        if self._speech == "tones" or not SPEAKING.intersection(self.providers):
            return TonesVoice(), None
        from voicekit.emulator.voice import RealSpeech

        speech = await self._closing.enter_async_context(RealSpeech())
        return speech.voice, speech.ears

    @property
    def calls_back(self) -> CallsBack:
        """Makes Twilio call an application, as if a user had written or called."""
        from voicekit.emulator.providers.twilio_calls_back import CallsBack

        return CallsBack(self.provider("twilio").call_back)

    def provider(self, name: str) -> Any:
        """Return the emulated provider of a name, for those who are part of the emulator."""
        return self._port(name).provider

    def inject(self, provider: str, fault: Fault) -> None:
        """Make a provider's next fitting request fail as the fault says."""
        self._port(provider).provider.ctx.faults.inject(fault)

    def clear_faults(self, provider: str | None = None) -> None:
        """Forget every fault that has not struck yet, of one provider or of all."""
        for port in self._ports.values() if provider is None else [self._port(provider)]:
            port.provider.ctx.faults.clear()

    def set_scenario(self, scenario: str | Scenario) -> None:
        """Change the scenario for requests from now on, and begin the seeded draws again."""
        self._scenario = named_scenario(scenario)
        for port in self._ports.values():
            port.provider.ctx.restart_seed()

    async def drop_idle(self, provider: str, *, how: Literal["fin", "rst"] = "fin") -> int:
        """Close a provider's idle connections now, as its server might, and return how many."""
        return await self._port(provider).drop_idle(how)

    def cut(self, provider: str, *, how: Literal["fin", "rst", "blackhole"] = "rst") -> int:
        """Break all of a provider's connections now, in use or idle, and return how many.

        Args:
            provider: Whose.
            how: ``"fin"`` and ``"rst"`` end them, without a word of their protocol;
                ``"blackhole"``, which needs a link, leaves them open and lets nothing pass.
        """
        return self._port(provider).cut(how)

    def connections(self, provider: str) -> list[ConnectionRecord]:
        """Return the records of a provider's open connections, oldest first."""
        records = [handler.record for handler in self._port(provider).handlers]
        return sorted((r for r in records if r is not None), key=lambda record: record.id)

    def clear_journal(self) -> None:
        """Forget what was recorded; see `Journal.clear`."""
        self.journal.clear()

    @classmethod
    def in_thread(cls, **options: Any) -> ThreadedEmulator:
        """Return the emulator for blocking callers: `with Emulator.in_thread() as world:`.

        It runs on an event loop in a thread of its own and takes the same options.
        """
        from voicekit.emulator.thread import ThreadedEmulator

        return ThreadedEmulator(**options)

    def _port(self, provider: str) -> Port:
        self.endpoint(provider)
        return self._ports[provider]


def _require_speech() -> None:
    for module in ("espeakng_loader", "pocketsphinx"):
        if importlib.util.find_spec(module) is None:
            raise EmulatorError("speech='real' needs the demo extra: pip install 'voicekit[demo]'")

"""The emulator's surface for those in another thread or process, every method blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from voicekit.emulator.endpoints import Addresses

if TYPE_CHECKING:
    from concurrent.futures import Future

    from voicekit.emulator.faults import Fault
    from voicekit.emulator.journal import ConnectionRecord
    from voicekit.emulator.providers.twilio_calls_back import CallsBack
    from voicekit.emulator.providers.twilio_inbound import CalledBack
    from voicekit.emulator.scenario import Scenario


class RemoteEmulator(Addresses):
    """What `Emulator` does, elsewhere; a subclass says how a call gets there."""

    def _ask(self, call: str, **arguments: Any) -> Any:
        """Call the emulator's method of that name and wait for what it returns."""
        raise NotImplementedError

    def _call_back(self, kind: str, arguments: dict[str, Any]) -> Future[CalledBack]:
        """Begin to tell an application of something."""
        raise NotImplementedError

    def inject(self, provider: str, fault: Fault) -> None:
        """As `Emulator.inject`."""
        self._ask("inject", provider=provider, fault=fault)

    def clear_faults(self, provider: str | None = None) -> None:
        """As `Emulator.clear_faults`."""
        self._ask("clear_faults", provider=provider)

    def set_scenario(self, scenario: str | Scenario) -> None:
        """As `Emulator.set_scenario`."""
        self._ask("set_scenario", scenario=scenario)

    def clear_journal(self) -> None:
        """As `Emulator.clear_journal`."""
        self._ask("clear_journal")

    def drop_idle(self, provider: str, *, how: Literal["fin", "rst"] = "fin") -> int:
        """As `Emulator.drop_idle`, blocking until done."""
        dropped: int = self._ask("drop_idle", provider=provider, how=how)
        return dropped

    def cut(self, provider: str, *, how: Literal["fin", "rst", "blackhole"] = "rst") -> int:
        """As `Emulator.cut`."""
        there: int = self._ask("cut", provider=provider, how=how)
        return there

    def connections(self, provider: str) -> list[ConnectionRecord]:
        """As `Emulator.connections`; of another process, a snapshot."""
        records: list[ConnectionRecord] = self._ask("connections", provider=provider)
        return records

    @property
    def calls_back(self) -> CallsBack:
        """As `Emulator.calls_back`; what it begins can be awaited, or its `result()` taken."""
        from voicekit.emulator.providers.twilio_calls_back import CallsBack

        return CallsBack(self._call_back)

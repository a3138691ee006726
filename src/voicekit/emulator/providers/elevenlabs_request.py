"""The checks of an ElevenLabs speech request, over HTTP and at a handshake. No I/O.

A schema failure is the vendor's 422 with a list; a limit is its 400 with an object. Advice that is
ignored (deprecated options, values outside a disputed range) becomes a note, never a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicekit.emulator.providers.base import RefusedError
from voicekit.emulator.providers.elevenlabs_models import (
    DEFAULT_FORMAT,
    DEFAULT_MODEL,
    MODELS,
    Model,
    model_named,
)

NORMALIZATION = ("auto", "on", "off")
RATIO_SETTINGS = ("stability", "similarity_boost", "style", "clone_strength")
"""From 0 to 1. `speed` is no such: the vendor's pages disagree (0.7-1.2 and 0.25-4.0)."""

ADVISED_SPEED = (0.7, 1.2)
"""Source: field description of `speed` in the vendor's OpenAPI file, August 2025."""

SPEED_NOTE = "voice_settings.speed outside 0.7-1.2"

HTTP_QUERY = frozenset({"output_format", "optimize_streaming_latency", "enable_logging"})
SOCKET_QUERY = frozenset(
    {
        "model_id",
        "output_format",
        "language_code",
        "auto_mode",
        "inactivity_timeout",
        "sync_alignment",
        "enable_ssml_parsing",
        "apply_text_normalization",
        "apply_language_text_normalization",
        "seed",
        "enable_logging",
        "authorization",
        "single_use_token",
        "optimize_streaming_latency",
    }
)
BODY_FIELDS = frozenset(
    {
        "text",
        "model_id",
        "language_code",
        "voice_settings",
        "pronunciation_dictionary_locators",
        "seed",
        "previous_text",
        "next_text",
        "previous_request_ids",
        "next_request_ids",
        "apply_text_normalization",
        "apply_language_text_normalization",
        "use_pvc_as_ivc",
        "audio_effects",
    }
)
TRUE = frozenset({"true", "1", "yes", "on"})
MAX_SEED = 4_294_967_295
MAX_LISTED = 3
"""Dictionaries, and request ids on either side. Source: the OpenAPI file."""
MAX_INACTIVITY = 180
"""Seconds. Source: AsyncAPI, `inactivity_timeout`."""


class HttpRefusalError(RefusedError):
    """A request that the vendor refuses: a status and the `detail` of its body."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.detail = detail

    @classmethod
    def coded(
        cls, status: int, code: str, message: str, *, kind: str = "validation_error", **more: Any
    ) -> HttpRefusalError:
        """Build the vendor's 2026 shape; `status` repeats the code for older readers."""
        detail = {"type": kind, "code": code, "message": message, "status": code, **more}
        return cls(status, detail)


def invalid(param: str, message: str) -> HttpRefusalError:
    """Return the refusal of a parameter."""
    return HttpRefusalError.coded(400, "invalid_parameters", message, param=param)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechQuery:
    """Checked query parameters; those that only sockets have keep their defaults over HTTP.

    `inactivity_timeout` is in seconds.
    """

    output_format: str = DEFAULT_FORMAT
    model: Model = field(default_factory=lambda: MODELS[DEFAULT_MODEL])
    auto_mode: bool = False
    sync_alignment: bool = False
    inactivity_timeout: int = 20
    credential: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest:
    """A checked JSON body."""

    text: str
    model: Model
    notes: tuple[str, ...] = ()


class Checker:
    """Collects schema failures the way the vendor's framework reports them."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.failures: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def fail(self, path: Sequence[str | int], message: str, kind: str, given: Any = None) -> None:
        """Note a failure."""
        failure: dict[str, Any] = {"loc": [self.place, *path], "msg": message, "type": kind}
        if isinstance(given, int | float):
            failure["input"] = given
        self.failures.append(failure)

    def number(
        self, path: Sequence[str | int], value: Any, low: float, high: float, *, whole: bool = False
    ) -> None:
        """Fail on what is no number of the range."""
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            name = "integer" if whole else "number"
            self.fail(
                path, f"Input should be a valid {name}", "int_type" if whole else "float_type"
            )
        elif value < low:
            self.fail(
                path,
                f"Input should be greater than or equal to {low:g}",
                "greater_than_equal",
                value,
            )
        elif value > high:
            self.fail(
                path, f"Input should be less than or equal to {high:g}", "less_than_equal", value
            )

    def choice(self, path: Sequence[str | int], value: Any, allowed: Sequence[str]) -> None:
        """Fail on none of the words."""
        if value not in allowed:
            listed = ", ".join(repr(each) for each in allowed)
            self.fail(path, f"Input should be {listed}", "enum")

    def typed(self, path: Sequence[str | int], value: Any, kind: type, name: str) -> bool:
        """Return whether it is of the type, and fail if not."""
        if isinstance(value, kind):
            return True
        self.fail(path, f"Input should be a valid {name}", f"{name}_type")
        return False

    def boolean(self, name: str, value: str | None, *, default: bool) -> bool:
        """Return a truth value."""
        if value is None:
            return default
        if value.lower() in TRUE:
            return True
        if value.lower() not in {"false", "0", "no", "off"}:
            self.fail([name], "Input should be a valid boolean", "bool_parsing")
        return False

    def items(self, path: Sequence[str | int], value: Any, most: int) -> None:
        """Fail on no list, or one that is too long."""
        if self.typed(path, value, list, "list") and len(value) > most:
            self.fail(path, f"List should have at most {most} items", "too_long", len(value))

    def done(self) -> tuple[str, ...]:
        """Refuse if anything has failed, and return the notes."""
        if self.failures:
            raise HttpRefusalError(422, self.failures)
        return tuple(self.notes)


def check_query(
    query: Mapping[str, Sequence[str]], *, formats: frozenset[str], socket: bool
) -> SpeechQuery:
    """Check the query parameters of a speech request or of a socket's handshake.

    422 for a value outside its documented type, range or enumeration; 400 for a model that has no
    realtime socket. Of several values the last counts.
    """
    check = Checker("query")
    last = {name: values[-1] for name, values in query.items() if values}
    known = SOCKET_QUERY if socket else HTTP_QUERY
    check.notes += [
        f"unknown query parameter {name!r} ignored" for name in last if name not in known
    ]
    output_format = last.get("output_format", DEFAULT_FORMAT)
    if socket and output_format == "mp3_44100":  # the socket page's own spelling of its default
        output_format = DEFAULT_FORMAT
    check.choice(["output_format"], output_format, sorted(formats))
    if "optimize_streaming_latency" in last:
        check.notes.append("optimize_streaming_latency is deprecated")
        _whole(check, "optimize_streaming_latency", last, 0, 4)
    if check.boolean("enable_logging", last.get("enable_logging"), default=True) is False:
        check.notes.append("enable_logging=false is for enterprise plans")
    if not socket:
        return SpeechQuery(output_format=output_format, notes=check.done())
    model = model_named(last.get("model_id"), check.notes)
    for name in ("enable_ssml_parsing", "apply_language_text_normalization"):
        check.boolean(name, last.get(name), default=False)
    if "apply_text_normalization" in last:
        check.choice(["apply_text_normalization"], last["apply_text_normalization"], NORMALIZATION)
    _whole(check, "seed", last, 0, MAX_SEED)
    checked = SpeechQuery(
        output_format=output_format,
        model=model,
        auto_mode=check.boolean("auto_mode", last.get("auto_mode"), default=False),
        sync_alignment=check.boolean("sync_alignment", last.get("sync_alignment"), default=False),
        inactivity_timeout=_whole(check, "inactivity_timeout", last, 1, MAX_INACTIVITY) or 20,
        credential=last.get("authorization") or last.get("single_use_token"),
        notes=check.done(),
    )
    if not model.realtime:
        raise HttpRefusalError.coded(
            400, "unsupported_model", f"{model.id} has no realtime socket", param="model_id"
        )
    return checked


def check_body(body: Any) -> SpeechRequest:
    """Check a parsed JSON body: 422 for a schema failure, 400 for a documented limit."""
    check = Checker("body")
    if not isinstance(body, dict):
        check.fail([], "Input should be a valid dictionary", "dict_type")
        check.done()
    check.notes += [f"unknown field {name!r} ignored" for name in body if name not in BODY_FIELDS]
    given = {name: value for name, value in body.items() if value is not None}
    if "text" not in given:
        check.fail(["text"], "Field required", "missing")
    else:
        check.typed(["text"], given["text"], str, "string")
    _check_options(check, given)
    _check_voice_settings(check, given.get("voice_settings"))
    _check_effects(check, given.get("audio_effects"))
    if given.get("use_pvc_as_ivc"):
        check.notes.append("use_pvc_as_ivc is deprecated")
    notes = list(check.done())
    model = model_named(given.get("model_id"), notes)
    if "model_id" not in given:
        notes.append(f"model_id omitted: the default {DEFAULT_MODEL} is a slow model")
    _check_limits(given, model)
    if model.id == "eleven_multilingual_v2" and "language_code" in given:
        notes.append("language_code is ignored by eleven_multilingual_v2")
    return SpeechRequest(text=given["text"], model=model, notes=tuple(notes))


def _check_options(check: Checker, given: Mapping[str, Any]) -> None:
    for name in ("model_id", "language_code", "previous_text", "next_text"):
        if name in given:
            check.typed([name], given[name], str, "string")
    for name in ("apply_language_text_normalization", "use_pvc_as_ivc"):
        if name in given:
            check.typed([name], given[name], bool, "boolean")
    if "seed" in given:
        check.number(["seed"], given["seed"], 0, MAX_SEED, whole=True)
    if "apply_text_normalization" in given:
        check.choice(["apply_text_normalization"], given["apply_text_normalization"], NORMALIZATION)
    for name in ("pronunciation_dictionary_locators", "previous_request_ids", "next_request_ids"):
        if name in given:
            check.items([name], given[name], MAX_LISTED)


def _check_limits(given: Mapping[str, Any], model: Model) -> None:
    text = given["text"]
    if not text.strip():
        raise invalid("text", "text is empty")
    if len(text) > model.max_characters:
        raise HttpRefusalError.coded(
            400,
            "max_character_limit_exceeded",
            f"A text of {len(text)} characters exceeds the limit of {model.max_characters} "
            f"characters of {model.id}.",
            param="text",
        )
    if model.id == "eleven_v3":
        for name in ("previous_text", "next_text", "previous_request_ids", "next_request_ids"):
            if given.get(name):
                raise HttpRefusalError.coded(
                    400,
                    "unsupported_parameter",
                    f"{name} is not supported by eleven_v3",
                    param=name,
                )
    if given.get("apply_text_normalization") == "on" and model.id.endswith("_v2_5"):
        raise HttpRefusalError.coded(
            400,
            "unsupported_parameter",
            f"apply_text_normalization 'on' is not available for {model.id}",
            param="apply_text_normalization",
        )


def _check_voice_settings(check: Checker, settings: Any) -> None:
    if settings is None or not check.typed(["voice_settings"], settings, dict, "dictionary"):
        return
    for name in RATIO_SETTINGS:
        if settings.get(name) is not None:
            check.number(["voice_settings", name], settings[name], 0, 1)
    if settings.get("use_speaker_boost") is not None:
        check.typed(
            ["voice_settings", "use_speaker_boost"], settings["use_speaker_boost"], bool, "boolean"
        )
    speed = settings.get("speed")
    if speed is not None:
        # Only the type refuses.
        check.number(["voice_settings", "speed"], speed, 0, 100)
        if isinstance(speed, int | float) and not (ADVISED_SPEED[0] <= speed <= ADVISED_SPEED[1]):
            check.notes.append(SPEED_NOTE)


def _check_effects(check: Checker, effects: Any) -> None:
    if effects is None or not check.typed(["audio_effects"], effects, dict, "dictionary"):
        return
    for name, low in (("distance", 0), ("send_level", 0), ("pan", -1)):
        if effects.get(name) is not None:
            check.number(["audio_effects", name], effects[name], low, 1)
    check.notes.append("audio_effects are accepted and not rendered")


def _whole(check: Checker, name: str, last: Mapping[str, str], low: int, high: int) -> int | None:
    value = last.get(name)
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        check.fail([name], "Input should be a valid integer", "int_parsing")
        return None
    check.number([name], number, low, high, whole=True)
    return number

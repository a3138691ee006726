"""Files of messages, a part of ``TwilioClient``: whole, or as they come."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Unpack

from voicekit import checks
from voicekit.checks import Check, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.execute import open_stream
from voicekit.clients.settings import Settings
from voicekit.clients.twilio.authorized import Authorized
from voicekit.clients.twilio.errors import DIALECT, PROVIDER
from voicekit.clients.twilio.following import NOT_THERE_YET, Following
from voicekit.clients.twilio.hosts import gets_credential, may_hold_media, origin_of
from voicekit.clients.twilio.inbound import MediaRef
from voicekit.clients.twilio.media_body import Media, MediaDecoder, MediaStream
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import open_call
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from voicekit.streams import Opened
    from voicekit.transport.interfaces import Response

# Source: design, limits of an operation.
_LIMITS: Final = Limits(connect=2.0, first_output=10.0, gap=5.0, total=10.0)

DOWNLOAD_MEDIA: Final = Operation(
    provider=PROVIDER, name="download_media", kind=OperationClass.PURE, limits=_LIMITS, repeats=3
)
STREAM_MEDIA: Final = Operation(
    provider=PROVIDER, name="stream_media", kind=OperationClass.PURE, limits=_LIMITS, repeats=3
)

MOST_BYTES: Final = 16 << 20
"""Source: sheet §8.2, the most that WhatsApp carries."""


class MediaDefaults(Extras, total=False):
    """Options of files. Of the extras only ``extra_headers`` and ``extra_query`` count.

    Attributes:
        max_bytes: What is larger is refused, before it is read where its size is told
            (16 MiB).
        fresh: The message came in just now, so that a file that is not there may still come:
            ask again after 0.5, 1 and 2 s (True).
    """

    max_bytes: int | None
    fresh: bool | None


class MediaOptions(MediaDefaults, CallOptions, total=False):
    """The same for one call."""


class MediaSettings(Settings):
    """Checked options of files."""

    purpose: ClassVar[str] = "media"
    option_checks: ClassVar[Mapping[str, Check]] = {
        "max_bytes": checks.integer(1),
        "fresh": checks.flag,
    }

    @property
    def waits(self) -> tuple[float, ...]:
        """Seconds between asking again for a file that is not there."""
        return () if self.options.get("fresh") is False else NOT_THERE_YET


class MediaFiles(Authorized):
    """Files that came with messages.

    The account is asked with its credential; where the file lies, it is fetched without, and
    only from Twilio's own hosts unless ``media_hosts`` allows more.
    """

    _media_hosts: tuple[str, ...] = ()

    async def download_media(
        self, media: MediaRef | str, /, **options: Unpack[MediaOptions]
    ) -> Media:
        """A file of a message, whole: bytes, which go into ``transcribe`` as they are.

        Limits: connect 2 s, first bytes 10 s, gap 5 s, 10 s in all. A file that is not there
        yet is asked for again after 0.5, 1 and 2 s. Cancelling frees the connection at once.

        Args:
            media: Of a message that came in, or its address.
            **options: On top of the constructor's ``media``.

        Raises:
            InvalidArgumentError: The address is not at Twilio. Before any I/O.
            InvalidRequestError: There is no such file (any more).
            LocalProtocolError: It is larger than ``max_bytes``.
            VoicekitError: It could not be fetched.

        Example:
            >>> note = await twilio.download_media(message.media[0])
            >>> heard = await stt.transcribe(note)
        """
        ref, settings = self._asked(media, options)
        call = self._call(DOWNLOAD_MEDIA, settings)
        following = self._following(settings)

        async def step(call: Call) -> Media:
            response = await following.send(Request("GET", ref.url, {}), call)
            try:
                decoder = _decoder(ref, settings, response)
                parts: list[bytes] = []
                while data := await response.chunk():
                    parts += decoder.feed(data)
                parts += decoder.eof(delimited=response.delimited)
            except BaseException:
                response.abort()
                raise
            call.committed()
            return Media(b"".join(parts), decoder.content_type, headers=response.headers)

        result = await open_call(call, step)
        call.end()
        result.request_id = following.request_id
        result.timings, result.connection = call.timings, call.connection
        result.attempts, result.hedged = call.attempts, call.hedged
        return result

    def stream_media(
        self, media: MediaRef | str, /, **options: Unpack[MediaOptions]
    ) -> MediaStream:
        """A file of a message as it comes: iterate for bytes, or hand it to ``transcribe``.

        Makes no request before it is entered, awaited or iterated. Limits as of
        ``download_media``, of which the total counts for the whole stream.

        Args:
            media: Of a message that came in, or its address.
            **options: On top of the constructor's ``media``.

        Raises:
            InvalidArgumentError: The address is not at Twilio. Everything else is raised by
                the handle, as by ``download_media``.

        Example:
            >>> heard = await stt.transcribe(twilio.stream_media(message.media[0]))
        """
        ref, settings = self._asked(media, options)
        return MediaStream(partial(self._open_media, ref, settings), ref.content_type)

    async def _open_media(self, ref: MediaRef, settings: MediaSettings) -> Opened[bytes]:
        call = self._call(STREAM_MEDIA, settings)
        following = self._following(settings)

        async def prepare() -> Request:
            # Without headers: who follows it knows which request may have the credential.
            return Request("GET", ref.url, {})

        opened = await open_stream(
            following, call, prepare, DIALECT, partial(_decoder, ref, settings)
        )
        opened.call.request_id = following.request_id
        return opened

    def _asked(
        self, media: MediaRef | str, options: Mapping[str, Any]
    ) -> tuple[MediaRef, MediaSettings]:
        ref = MediaRef(url=media) if isinstance(media, str) else media
        if not isinstance(ref, MediaRef):
            raise wrong("media", media, "of message.media, or its address")
        settings = self._family(MediaSettings).updated(options)
        origin = origin_of(ref.url)
        if origin is None or not (
            gets_credential(origin, self._own_origin)
            or may_hold_media(ref.url, self._own_origin, self._media_hosts)
        ):
            raise InvalidArgumentError(
                "its address is not at Twilio", argument="media", allowed="media_hosts= allows more"
            )
        return ref, settings

    def _following(self, settings: MediaSettings) -> Following:
        return Following(
            self.transport,
            partial(self._headers, settings.extra_headers),
            own=self._own_origin,
            media_hosts=self._media_hosts,
            waits=settings.waits,
        )


def _decoder(ref: MediaRef, settings: MediaSettings, response: Response) -> MediaDecoder:
    most = int(settings.options.get("max_bytes") or MOST_BYTES)
    return MediaDecoder(response.headers, most=most, expected=ref.content_type)

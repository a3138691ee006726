"""Embeddings, a part of ``OpenAIClient``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from voicekit.checks import no_options
from voicekit.clients.execute import fetch
from voicekit.clients.openai.authorized import Authorized
from voicekit.clients.openai.embedding_options import (
    EMBEDDINGS_PATH,
    EmbeddingOptions,
    EmbeddingRequest,
    EmbeddingSettings,
    Texts,
)
from voicekit.clients.openai.embedding_protocol import (
    BYTES_PER_VECTOR,
    Embeddings,
    read_embeddings,
)
from voicekit.clients.openai.errors import DIALECT, PROVIDER
from voicekit.clients.openai.rate_limits import rate_limits_of
from voicekit.clients.refusals import body_of
from voicekit.operation import Limits, Operation, OperationClass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.transport.interfaces import Response

# Source: those of a chat; the vendor's recorded answers took 44 ms.
EMBED: Final = Operation(
    provider=PROVIDER,
    name="embed",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, first_output=10.0, total=60.0),
)


class Embedding(Authorized):
    """Texts as vectors."""

    def embedding_request(
        self, texts: Texts, /, **options: Unpack[EmbeddingOptions]
    ) -> EmbeddingRequest:
        """Merge, validate and freeze; no I/O.

        Args:
            texts: One or several, or the ids of their tokens: at most 2,048 in one request,
                of 8,192 tokens each and 300,000 in all; none may be empty.
            **options: On top of the constructor's ``embedding``.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        return self._family(EmbeddingSettings).updated(options).request(texts)

    async def embed(
        self, texts: Texts | EmbeddingRequest, /, **options: Unpack[EmbeddingOptions]
    ) -> Embeddings:
        """One vector per text, in one request.

        Limits: connect 2 s, first output (which is the whole answer) 10 s, total 60 s.
        Cancelled, the request is abandoned and its connection closed and replaced. Reading
        a full batch of 2,048 vectors holds the event loop for tenths of a second: where
        something else must not wait, ask for fewer at a time.

        Args:
            texts: What to embed, or a request made before (then no options).
            **options: As for ``embedding_request``.

        Raises:
            InvalidArgumentError: Before any I/O.
            InvalidRequestError: The vendor refuses the request, a text being too long.
            TransportError: The connection failed, or what came are not these vectors.
            VoicekitError: As for ``stream_chat``.
        """
        request = self._embedding_of(texts, options)
        call = self._call(EMBED, request)

        def read(body: bytes, response: Response) -> tuple[Embeddings, Mapping[str, str]]:
            headers = response.headers
            return read_embeddings(body_of(body), request.count, headers), headers

        embeddings, headers = await fetch(
            self.transport,
            call,
            partial(
                self._prepare,
                EMBEDDINGS_PATH,
                model=request.model,
                body=request.body.encode(),
                query=request.query,
                headers=request.headers,
            ),
            DIALECT,
            read,
            kinds=("json",),
            most=(1 << 20) + request.count * BYTES_PER_VECTOR,
        )
        return replace(
            embeddings,
            request_id=call.request_id,
            rate_limits=rate_limits_of(headers),
            headers=headers,
            **call.evidence(),
        )

    def _embedding_of(
        self, texts: Texts | EmbeddingRequest, options: Mapping[str, Any]
    ) -> EmbeddingRequest:
        if not isinstance(texts, EmbeddingRequest):
            return self._family(EmbeddingSettings).updated(options).request(texts)
        no_options(options, allowed="in embedding_request()")
        return texts

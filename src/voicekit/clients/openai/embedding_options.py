"""Every option of an embedding, the check that says so before any I/O, and the frozen request.

Source: OpenAI fact sheet of 2026-11, §7 (SDK openai 3.52.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from voicekit import checks
from voicekit.checks import Check, is_integer, is_sequence, without, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.openai.config import JsonRequest, model_of
from voicekit.clients.settings import EXTRAS, Settings, json_of
from voicekit.clients.urls import query_of
from voicekit.errors import InvalidArgumentError

if TYPE_CHECKING:
    from voicekit.operation import Limits
    from voicekit.resilience.policies import Policies

EMBEDDINGS_PATH: Final = "/embeddings"

MAX_INPUTS: Final = 2048
MAX_TOKENS: Final = 8192
MAX_TOTAL_TOKENS: Final = 300_000

Texts = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]
"""One text or several; or the ids of the tokens of one, or of several."""


class EmbeddingDefaults(Extras, total=False):
    """Options of an embedding, for the constructor (under ``embedding``) and for each call.

    Absent, None and brackets mean what ``Extras`` says.

    Attributes:
        model: Which model embeds, such as ``"text-embedding-3-small"``. Required, here or in
            the constructor: a chat's model is none for this.
        dimensions: How many numbers per vector, 1 or more; not for ``text-embedding-ada-002``.
        encoding_format: How they travel: ``"base64"`` (ours), a third of the bytes, or
            ``"float"``; None for servers that know no such field.
        user: An id of the end user.
    """

    model: str | None
    dimensions: int | None
    encoding_format: str | None
    user: str | None


class EmbeddingOptions(EmbeddingDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


CHECKS: Final[Mapping[str, Check]] = {
    "model": checks.text,
    "dimensions": checks.integer(1),
    "encoding_format": checks.word("base64", "float"),
    "user": checks.text,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest(JsonRequest):
    """What will be asked: validated, and JSON already, so that nothing changes it any more.

    Made by ``OpenAIClient.embedding_request()``; may be sent any number of times.

    Attributes:
        model: Which model is asked.
        count: How many vectors the answer will hold.
        body: JSON of it all.
    """

    path: ClassVar[str] = EMBEDDINGS_PATH

    model: str
    count: int
    body: str = field(repr=False)
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None


class EmbeddingSettings(Settings):
    """Checked options of an embedding."""

    purpose = "an embedding"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {
        **EXTRAS,
        "extra_body": without({"input": "the texts"}),
    }

    def request(self, texts: Texts) -> EmbeddingRequest:
        """Freeze these settings with texts.

        Raises:
            InvalidArgumentError: No model was named, it takes no dimensions, or there are
                no texts, an empty one, or more than the vendor takes.
        """
        options = {"encoding_format": "base64", **self.options}
        body = {name: value for name, value in options.items() if value is not None}
        given, count = _checked(texts)
        body["input"] = given
        body.update(self.extra_body)
        model = model_of(body)
        if "dimensions" in body and "ada-002" in model:
            raise InvalidArgumentError(
                f"is not for {model}", argument="dimensions", allowed="newer models"
            )
        return EmbeddingRequest(
            model=model,
            count=count,
            body=json_of(body, "texts or options"),
            query=query_of(self.extra_query),
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )


def _checked(texts: object) -> tuple[Any, int]:
    """The input as it is sent, and how many vectors it earns."""
    if isinstance(texts, str):
        if not texts:
            raise wrong("texts", texts, "text that is not empty")
        return texts, 1
    if not is_sequence(texts) or not texts:
        raise wrong("texts", texts, "a str, or a sequence of at least one")
    if is_integer(texts[0]):
        return _tokens("texts", texts), 1
    if len(texts) > MAX_INPUTS:
        raise wrong("texts", texts, f"at most {MAX_INPUTS} in one request")
    if isinstance(texts[0], str):
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text:
                raise wrong(f"texts[{number}]", text, "a str that is not empty, as the others")
        return texts, len(texts)
    # How many tokens a text has, the vendor's tokenizer knows; how many ids there are, we do.
    counted = [_tokens(f"texts[{number}]", each) for number, each in enumerate(texts)]
    if sum(map(len, counted)) > MAX_TOTAL_TOKENS:
        raise wrong("texts", texts, f"at most {MAX_TOTAL_TOKENS} tokens in all")
    return counted, len(counted)


def _tokens(name: str, value: Any) -> Sequence[int]:
    if not is_sequence(value) or not 0 < len(value) <= MAX_TOKENS:
        raise wrong(name, value, f"1 to {MAX_TOKENS} ids of tokens")
    if not all(is_integer(each) and each >= 0 for each in value):
        raise wrong(name, value, "ids of tokens, which are ints ≥ 0")
    return value

"""A whole answer with the evidence of how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.clients.openai.rate_limits import rate_limits_of
from voicekit.speech import ChatResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.clients.openai.protocol import Answer
    from voicekit.operation import Call


def result_of(answer: Answer, call: Call, headers: Mapping[str, str]) -> ChatResult:
    """The value that users hold.

    Args:
        answer: What was read.
        call: The doing that it came of, which has ended.
        headers: Of the response.
    """
    return ChatResult(
        text=answer.text,
        refusal=answer.refusal,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        model=answer.model,
        request_id=call.request_id,
        id=answer.id,
        service_tier=answer.service_tier,
        rate_limits=rate_limits_of(headers),
        headers=headers,
        raw=answer.raw,
        **call.evidence(),
    )

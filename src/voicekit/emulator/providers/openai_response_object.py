"""The response object of OpenAI's Responses: as it begins, as it ends, as it fails.

Source: fact sheet of 2026-11, response object (OpenAPI 2.3.0, SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

from voicekit.emulator.providers.openai_pacing import SERVED_TIERS
from voicekit.emulator.providers.openai_refusals import SERVER_ERROR
from voicekit.emulator.providers.openai_reply import Outcome

# Source: fact sheet, errors inside a stream: the documented, flat form.
ERROR_EVENT: Mapping[str, Any] = {
    "type": "error",
    "code": "server_error",
    "message": SERVER_ERROR.message,
    "param": None,
}

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons of an incomplete response, by a chat's finish reason."""

# Source: fact sheet, response object: what is echoed, and the vendor's defaults.
ECHOED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


class ResponseObject:
    """One response, decided; `used` is the usage of a chat, `suffix` what is random in the ids."""

    def __init__(
        self,
        body: Mapping[str, Any],
        outcome: Outcome,
        used: dict[str, Any],
        reasoning: str | None,
        suffix: str,
    ) -> None:
        self._body = body
        self._outcome = outcome
        self._usage = _usage(used)
        self._reasoning = reasoning
        self._suffix = suffix
        self._created = int(time.time())
        # Source: a prompt that is only put into the cache generates nothing.
        self._silent = bool((body.get("prompt_cache_options") or {}).get("prewarm"))

    @functools.cached_property
    def output(self) -> list[dict[str, Any]]:
        """The items, complete."""
        if self._silent:
            return []
        outcome, items = self._outcome, []
        status = "incomplete" if outcome.finish_reason in INCOMPLETE else "completed"
        if self._reasoning is not None:
            wanted = (self._body.get("reasoning") or {}).get("summary")
            parts = [{"type": "summary_text", "text": self._reasoning}] if wanted else []
            items.append({"id": f"rs_{self._suffix}", "type": "reasoning", "summary": parts})
        said = "".join(outcome.pieces)
        if said or not outcome.tool_calls:
            part: dict[str, Any] = {"type": "refusal", "refusal": said}
            if not outcome.refused:
                part = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
            items.append(
                {
                    "id": f"msg_{self._suffix}",
                    "type": "message",
                    "status": status,
                    "role": "assistant",
                    "phase": "final_answer",
                    "content": [part],
                }
            )
        items += [
            {
                "id": f"fc_{self._suffix}{number}",
                "type": "function_call",
                "call_id": call.id or f"call_{self._suffix[-20:]}{number:04d}",
                "name": call.name,
                "arguments": call.arguments,
                "status": status,
            }
            for number, call in enumerate(outcome.tool_calls)
        ]
        return items

    @functools.cached_property
    def opened(self) -> dict[str, Any]:
        """The response as it begins."""
        body = self._body
        tier = body.get("service_tier")
        text = body.get("text") or {}
        echoed = {name: body.get(name, default) for name, default in ECHOED.items()}
        return {
            "id": f"resp_{self._suffix}",
            "object": "response",
            "created_at": self._created,
            "status": "in_progress",
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": body["model"],
            "output": [],
            **echoed,
            "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
            "service_tier": SERVED_TIERS.get(tier, tier),
            "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
            "usage": None,
        }

    @functools.cached_property
    def ended(self) -> dict[str, Any]:
        """The whole response."""
        reason = INCOMPLETE.get(self._outcome.finish_reason)
        return {
            **self.opened,
            "status": "completed" if reason is None else "incomplete",
            "completed_at": int(time.time()) if reason is None else None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": self.output,
            "usage": self._usage,
        }

    def failed(self, error: Any) -> dict[str, Any]:
        """Return the response as one that failed, with this error or the usual one."""
        said = error if isinstance(error, Mapping) else ERROR_EVENT
        error = {"code": said.get("code") or "server_error", "message": said.get("message", "")}
        return {**self.opened, "status": "failed", "error": error}


def _usage(counted: dict[str, Any]) -> dict[str, Any]:
    """A chat's usage in the words of a response; a scripted one may have these already."""
    block = {
        "input_tokens": counted.pop("prompt_tokens"),
        "input_tokens_details": {
            "cached_tokens": counted.pop("prompt_tokens_details").get("cached_tokens", 0),
            "cache_write_tokens": 0,
        },
        "output_tokens": counted.pop("completion_tokens"),
        "output_tokens_details": {
            "reasoning_tokens": counted.pop("completion_tokens_details").get("reasoning_tokens", 0)
        },
    }
    return {**block, **counted}

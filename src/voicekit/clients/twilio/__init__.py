"""Twilio: messages over SMS and WhatsApp, webhooks, files, calls."""

from voicekit.clients.twilio.call_options import PhoneCallOptions, PhoneCallUpdate
from voicekit.clients.twilio.client import ClientOptions, TwilioClient
from voicekit.clients.twilio.errors import (
    DeliveryError,
    PartlySentError,
    TemplateRequiredError,
    UnsubscribedError,
)
from voicekit.clients.twilio.inbound import (
    InboundMessage,
    MediaRef,
    MessageStatus,
    later_status,
)
from voicekit.clients.twilio.media import MediaOptions
from voicekit.clients.twilio.media_body import Media, MediaStream
from voicekit.clients.twilio.message_options import MessageFilters, MessageOptions
from voicekit.clients.twilio.once import Once, Turn
from voicekit.clients.twilio.resources import Message, PhoneCall, SentMessage

__all__ = [
    "ClientOptions",
    "DeliveryError",
    "InboundMessage",
    "Media",
    "MediaOptions",
    "MediaRef",
    "MediaStream",
    "Message",
    "MessageFilters",
    "MessageOptions",
    "MessageStatus",
    "Once",
    "PartlySentError",
    "PhoneCall",
    "PhoneCallOptions",
    "PhoneCallUpdate",
    "SentMessage",
    "TemplateRequiredError",
    "Turn",
    "TwilioClient",
    "UnsubscribedError",
    "later_status",
]

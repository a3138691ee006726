"""What sessions over WebSockets protect from."""

from __future__ import annotations

from mutations import Mutation

MUTATIONS: tuple[Mutation, ...] = ()

"""Retries, budgets, breakers, limits, hedging: each alone around any awaitable, or composed.

Inside a client they are composed already; see ``Policies``. Around clients stand
``fallback`` and ``spread``, which are what they wrap.
"""

from __future__ import annotations

"""The clients, one package per provider, all of one inner shape; none imports another.

``client.py`` is what users hold, ``config.py`` the frozen settings and requests,
``protocol.py`` the sans-IO wire grammar, ``errors.py`` the provider's error table.
"""

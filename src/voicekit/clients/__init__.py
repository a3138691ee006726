"""The clients, one package per provider, all of one inner shape; none imports another.

``client.py`` is what users hold, ``options.py`` the options with their checks, ``config.py``
the frozen settings and requests, ``protocol.py`` the sans-IO wire grammar, ``errors.py`` the
provider's error table. What they share is beside them: ``checks.py`` is what a value may be,
``settings.py`` how options merge.
"""

"""Several members behind the interface that all of them implement.

``trail`` is the one idea: choose a member, open there, and until something useful has come,
choose another. The rest says it for each interface: ``speech``, ``chat``, ``transcription`` are
the wrappers, ``streams``, ``sessions`` and ``speaking`` their handles.
"""

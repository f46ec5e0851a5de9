"""The ``amplitude-async`` command; the extra ``cli`` (cyclopts and rich). Nobody above imports it.

``program`` knows the commands by name and loads the module of the one that is asked for; ``exits`` says which error ends in which
code; ``settings`` are the options that every command takes. The modules of commands speak to Amplitude by way of the client, as any
user of the library would, and hand what came to ``printing``. ``drawing``, ``spans``, ``pairs`` and ``pacing`` are pure.
"""

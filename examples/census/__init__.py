"""A census of Python source code: the one example domain of Driven.

Begin with ``app``: it is the whole wiring, and reads from top to bottom. ``messages`` is what can be asked and
what can happen; ``tree`` finds and reads files, ``measuring`` measures one, ``survey`` counts them, ``table``
keeps what is known. ``demo`` runs it all from the command line, ``progress`` and ``report`` show it, and ``look``
knows terminals from pipes. ``api`` serves it over HTTP.
"""

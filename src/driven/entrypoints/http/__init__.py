"""HTTP: commands in, outcomes out. Needs the extra `http`.

`Api` says what is reached, `asgi` makes an ASGI application of it, `driven run` serves it.
"""

from driven.entrypoints.http.api import Api
from driven.entrypoints.http.binding import Request
from driven.entrypoints.http.serving import HttpApi, asgi

__all__ = ["Api", "HttpApi", "Request", "asgi"]

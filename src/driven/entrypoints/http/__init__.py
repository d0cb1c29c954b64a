"""HTTP: commands in, outcomes out. Needs the extra `http`.

`Api` says what is reached, `asgi` makes an ASGI application of it, `driven run` serves it.
"""

try:
    from driven.entrypoints.http.api import Api
    from driven.entrypoints.http.binding import Request
    from driven.entrypoints.http.serving import HttpApi, asgi
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing == "driven":
        raise
    told = f"HTTP needs {missing}, which comes with the extra: pip install 'driven-bus[http]'"
    raise ModuleNotFoundError(told, name=error.name) from error

__all__ = ["Api", "HttpApi", "Request", "asgi"]

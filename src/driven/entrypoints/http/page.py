"""The page to try the API on: Swagger UI, from the package that ships it, so that nothing is fetched from elsewhere."""

from __future__ import annotations

import functools
import html
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse, HTMLResponse

from driven.entrypoints.http.problems import Problem

if TYPE_CHECKING:
    from starlette.responses import Response

FILES: Final = ("swagger-ui-bundle.js", "swagger-ui.css")
"""What the page needs of the package."""

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({{url: "openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null, tryItOutEnabled: true}});
</script>
</body>
</html>
"""


def page(title: str) -> Response:
    """The page."""
    _folder()
    return HTMLResponse(_PAGE.format(title=html.escape(title)))


def static(name: str) -> Response:
    """A file that the page needs."""
    if name not in FILES:
        raise Problem(404, "There is nothing here")
    return FileResponse(_folder() / name)


@functools.cache
def _folder() -> Path:
    found = importlib.util.find_spec("openapi_ui_bundles.swagger_ui")
    if found is None or found.origin is None:
        detail = "The page comes with the extra: pip install 'driven-bus[http]'."
        raise Problem(501, "The page is not installed", detail)
    return Path(found.origin).parent / "vendor"

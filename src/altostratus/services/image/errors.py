# SPDX-License-Identifier: Apache-2.0
"""How refusals of the image service look: a small HTML page, which its clients strip to the sentence."""

from html import escape
from typing import Any

from altostratus.kernel.errors import ApiError, PolicyRefused


def envelope(error: ApiError, call: Any) -> bytes:
    """Bytes of the page."""
    title = f"{error.status} {error.title}"
    message = error.message
    if isinstance(error, PolicyRefused):
        message = f"You are not authorized to complete {error.rule} action. {error.advice}"
    page = (
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n"
        f"  {escape(message, quote=False)}<br /><br />\n\n\n </body>\n</html>"
    )
    return page.encode()

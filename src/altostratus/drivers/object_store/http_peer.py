# SPDX-License-Identifier: Apache-2.0
"""Another object store by HTTP or HTTPS, a connection for each request."""

import http.client
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from altostratus.contracts.object_peer import PeerAnswer, PeerError
from altostratus.contracts.object_store import Readable
from altostratus.kernel.turns import release_turn

_TIMEOUT_S = 60.0
_PIECE = 256 * 1024


class HttpPeer:
    """Who is asked is the operator's choice: addresses come from the configuration, never from clients."""

    def request(self, method: str, url: str, headers: Mapping[str, str], body: Readable | None = None) -> PeerAnswer:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        try:
            release_turn()
            pieces = None if body is None else _pieces(body)
            connection.request(method, parts.path, body=pieces, headers=dict(headers))
            answer = connection.getresponse()
            answer.read(_PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise PeerError(f"{parts.scheme}://{parts.netloc}: {error}") from error
        finally:
            connection.close()
        return PeerAnswer(answer.status, {name.lower(): value for name, value in answer.getheaders()})


def _pieces(body: Readable) -> Iterator[bytes]:
    while piece := body.read(_PIECE):
        yield piece

# SPDX-License-Identifier: Apache-2.0
"""Writes, reads and deletes blobs in a pool until it is killed: `python killed_writer.py CONF NAMESPACE SEED TIMEOUT`.

A printed line stands for a committed row: "+ID SHA256" before the blob is settled, "-ID" before it is deleted.
A blob that cannot be read, or is another than was written, is told by a line "!...".
"""

import hashlib
import io
import random
import sys
import threading

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.rados import Connection, RadosOptions, RadosStore

THREADS = 4
# one, two and three pieces
SIZES = (0, 10, 4096, 300_000, 6_000_000, 10_000_000)
_out = threading.Lock()


def tell(line: str) -> None:
    with _out:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def sum_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def work(store: RadosStore, dice: random.Random) -> None:
    kept: list[tuple[str, str]] = []
    while True:
        data = dice.randbytes(dice.choice(SIZES))
        try:
            blob = store.write(io.BytesIO(data))
        except ObjectStoreError as error:
            tell(f"?{error}")
            continue
        tell(f"+{blob.id} {sum_of(data)}")
        store.settle(blob.id)
        kept.append((blob.id, sum_of(data)))
        blob_id, expected = dice.choice(kept)
        if sum_of(b"".join(store.read(blob_id))) != expected:
            tell(f"!{blob_id} is another")
        if dice.random() < 0.4:
            tell(f"-{blob_id}")
            store.delete(blob_id)
            kept.remove((blob_id, expected))


def main(conf: str, namespace: str, seed: str, timeout_s: str) -> None:
    shared = RadosStore(Connection(RadosOptions(conf=conf, namespace=namespace, timeout_s=int(timeout_s))))
    for number in range(THREADS):
        dice = random.Random(int(seed) * 100 + number)
        threading.Thread(target=work, args=(shared, dice)).start()


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""Writes, reads and deletes blobs until it is killed: `python killed_writer.py STORE SEED`.

A printed line stands for a committed row: "+ID SHA256" before the blob is settled, "-ID" before it is deleted.
A blob that cannot be read, or is another than was written, is told by a line "!...".
"""

import hashlib
import io
import random
import sys
import threading
from pathlib import Path

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded import EmbeddedStore

THREADS = 4
_out = threading.Lock()


def tell(line: str) -> None:
    with _out:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def work(store: EmbeddedStore, dice: random.Random) -> None:
    kept: list[tuple[str, str]] = []
    while True:
        data = dice.randbytes(dice.choice((10, 4096, 300_000)))
        sum_ = hashlib.sha256(data).hexdigest()
        blob = store.write(io.BytesIO(data))
        tell(f"+{blob.id} {sum_}")
        store.settle(blob.id)
        kept.append((blob.id, sum_))
        blob_id, sum_ = dice.choice(kept)
        try:
            if hashlib.sha256(b"".join(store.read(blob_id))).hexdigest() != sum_:
                tell(f"!{blob_id} is another")
        except ObjectStoreError as error:
            tell(f"!{blob_id}: {error}")
        if dice.random() < 0.3:
            tell(f"-{blob_id}")
            store.delete(blob_id)
            kept.remove((blob_id, sum_))


if __name__ == "__main__":
    shared = EmbeddedStore(Path(sys.argv[1]))
    threads = [
        threading.Thread(target=work, args=(shared, random.Random(int(sys.argv[2]) * 100 + number)))
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    # a thread pool takes no work once the main thread has ended
    for thread in threads:
        thread.join()

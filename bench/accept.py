"""How many single messages are accepted a second, each durably: `python -m bench.accept SINGLES` prints JSON.

In a process and an installation of its own, as django-post_office is measured, so that both begin with empty tables."""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench import ours

WARM = 1_000  # until the write-ahead log has its size and is written over, as it is ever after; theirs alike


def main() -> None:
    singles = int(sys.argv[1])
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR")))
    try:
        ours.install(folder)
        ours.activate(None)
        for _ in range(WARM):
            ours.fill(1)
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(singles):
            ours.fill(1)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"seconds": seconds, "cpu_s": cpu}))


if __name__ == "__main__":
    main()

"""`make bench`: measures the service beside Nodemailer, django-post_office and smtp-source, and prints the figures.

ROUNDS (5) rounds of COUNT (20,000) messages each, the cases interleaved, so that what else the machine does meets all
of them; ratios are of medians. Everything runs on loopback. `make bench ROUNDS=1 COUNT=2000` is a quick look."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import others, ours
from bench.others import Run

if TYPE_CHECKING:
    from outbound.client import Client

ROUNDS = int(os.environ.get("ROUNDS") or 5)
COUNT = int(os.environ.get("COUNT") or 20_000)
BACKLOG = int(os.environ.get("BACKLOG") or (100_000 if COUNT >= 10_000 else COUNT * 5))
ROWS = int(os.environ.get("ROWS") or (1_000_000 if COUNT >= 10_000 else COUNT * 20))  # of the log behind the pages
SINGLES = 1_000  # single accepts
RESULTS = Path(__file__).resolve().parent / "results"

Figures = dict[str, list[Run]]


def main() -> None:
    others.ensure_smtp_sink()
    RESULTS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=RESULTS))
    try:
        ours.install(folder)
        print(
            f"{ROUNDS} rounds of {COUNT:,} messages of 5 kB; {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        figures = _next_door(folder) | _farther_away()
        found = {"delivery": _table(figures)}
        found["accept"] = _accepting(figures)
        found["backlog"] = _growing()
        found["activation"] = _activating()
        found["pages"] = _paging(folder)
        report = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
        report.write_text(json.dumps(found, indent=1))
        print(f"\nKept in {report.relative_to(RESULTS.parent.parent)}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _next_door(folder: Path) -> Figures:
    figures: Figures = {}
    with others.fast_sink() as port:
        cases: dict[str, Callable[[], Run | None]] = {
            "this service": lambda: ours.deliver(port, COUNT, 5),
            "Nodemailer, pool of 5": lambda: others.nodemailer(port, COUNT, 5),
            "django-post_office": lambda: others.post_office(port, min(COUNT, 5_000), 5, SINGLES, folder),
            "smtp-source (the limit)": lambda: others.smtp_source(port, COUNT, 5),
            "single accepts": lambda: others.measured(
                [sys.executable, "-m", "bench.accept", str(SINGLES)], SINGLES, BENCH_DIR=str(folder)
            ),
            "end to end, by API": lambda: _end_to_end(port),
        }
        _rounds("a sink next door", cases, figures)
    return figures


def _farther_away() -> Figures:
    figures: Figures = {}
    with others.slow_sink(5) as port, others.slow_sink(5, "PIPELINING") as unchunked:
        cases: dict[str, Callable[[], Run | None]] = {
            "this service, 5 ms away": lambda: ours.deliver(port, COUNT, 20),
            "the same, no CHUNKING": lambda: ours.deliver(unchunked, COUNT // 2, 20),
            "Nodemailer, 5 ms away": lambda: others.nodemailer(port, min(COUNT, 4_000), 20),
        }
        _rounds("a sink 5 ms away, 20 connections", cases, figures)
    return figures


def _rounds(title: str, cases: dict[str, Callable[[], Run | None]], figures: Figures) -> None:
    for number in range(1, ROUNDS + 1):
        for name, case in cases.items():
            run = case()
            if run is not None:
                figures.setdefault(name, []).append(run)
                print(f"  round {number}, {title}: {name:26} {run.per_s:9,.0f} per second", flush=True)


def _end_to_end(port: int) -> Run:
    """Accepted by HTTP in batches of 1,000 while the engine delivers, until all outcomes are durable."""
    ours.activate(port, 5)
    requests = ours.requests(COUNT)
    with ours.engine(), ours.web() as (url, token):
        client = _client(url, token)
        begun = time.perf_counter()
        client.send_many(requests)
        ours.until(lambda: not ours.waiting())
        return Run(COUNT, time.perf_counter() - begun)


def _median(figures: Figures, name: str, what: Callable[[Run], float]) -> float:
    runs = figures.get(name, [])
    return statistics.median(what(run) for run in runs) if runs else float("nan")


def _table(figures: Figures) -> dict[str, dict[str, float]]:
    print(f"\n{'':28}{'messages/s':>12}{'CPU s/1,000':>13}{'peak MB':>9}   (medians)")
    found = {}
    for name in figures:
        row = {
            "per_s": _median(figures, name, lambda run: run.per_s),
            "cpu_per_1000": _median(figures, name, lambda run: run.cpu_per_1000),
            "peak_mb": _median(figures, name, lambda run: run.peak_mb),
        }
        found[name] = row
        print(f"{name:28}{row['per_s']:12,.0f}{row['cpu_per_1000'] or float('nan'):13.3f}{row['peak_mb']:9.0f}")
    mine = found["this service"]
    print(f"\nthis service: {mine['cpu_per_1000']:.2f} s of CPU for 1,000 messages   (aim: 0.20 at most)")
    for name, theirs, aim in (
        ("this service", "Nodemailer, pool of 5", "5, 10 to beat"),
        ("this service", "django-post_office", ""),
        ("end to end, by API", "Nodemailer, pool of 5", "2, 5 to beat"),
        ("this service, 5 ms away", "Nodemailer, 5 ms away", "3"),
        ("the same, no CHUNKING", "Nodemailer, 5 ms away", ""),
    ):
        if name in found and theirs in found:
            ratio = found[name]["per_s"] / found[theirs]["per_s"]
            print(f"{name} : {theirs} = {ratio:.1f}" + (f"   (aim: {aim})" if aim else ""))
    return found


def _accepting(figures: Figures) -> dict[str, float]:
    """What is accepted a second, durably, one by one and in batches; nothing is delivered meanwhile."""
    ours.activate(None)
    single, batch = 500, min(COUNT, 10_000)
    with ours.web() as (url, token):
        by_http = _per_s(single, lambda: _singles(url, token, single))
        parallel = _per_s(2 * single, lambda: _singles(url, token, 2 * single, clients=16))
        in_batches = _per_s(batch, lambda: _client(url, token).send_many(ours.requests(batch)))
    in_process = _median(figures, "single accepts", lambda run: run.per_s)
    theirs = _median(figures, "django-post_office", lambda run: run.extra)
    print("\nAccepted a second:")
    print(f"  one by one in process: {in_process:,.0f}; django-post_office: {theirs:,.0f}")
    print(f"  one by one by HTTP: {by_http:,.0f}; by 16 clients at once: {parallel:,.0f}")
    print(f"  in batches by HTTP: {in_batches:,.0f}")
    print(f"one by one in process : django-post_office = {in_process / theirs:.1f}   (aim: 1.5)")
    return {
        "in_process": in_process,
        "post_office": theirs,
        "http": by_http,
        "http_16_clients": parallel,
        "batches": in_batches,
    }


def _per_s(count: int, work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def _client(url: str, token: str) -> "Client":
    from outbound.client import Client

    return Client(url, token=token, timeout_s=60)


def _singles(url: str, token: str, count: int, *, clients: int = 1) -> None:
    """Sends single messages, by so many clients with a connection each."""
    requests = ours.requests(count)

    def work(number: int) -> None:
        client = _client(url, token)
        for one in requests[number::clients]:
            client.send(one)
        client.close()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))


def _growing() -> list[dict[str, float]]:
    """How delivery and memory change with the backlog."""
    rows = []
    print("\nBacklog     messages/s   peak MB   (aim: nothing grows)")
    with others.fast_sink() as port:
        ours.activate(port)
        ours.drain(port)
        for backlog in (1_000, BACKLOG):
            run = ours.deliver(port, backlog, 5)
            rows.append({"backlog": backlog, "per_s": run.per_s, "peak_mb": run.peak_mb})
            print(f"{backlog:7,}{run.per_s:15,.0f}{run.peak_mb:10.0f}", flush=True)
    return rows


def _activating() -> dict[str, float]:
    """From the answer to an activation to the first mail through the new revision."""
    times = []
    with others.fast_sink() as port:
        ours.activate(None)
        with ours.engine():
            for _ in range(10):
                ours.fill(1)
                ours.activate(port)
                begun = time.perf_counter()
                ours.until(lambda: not ours.waiting(), 30, 0.002)
                times.append((time.perf_counter() - begun) * 1000)
                ours.activate(None)
    median, worst = statistics.median(times), max(times)
    print(
        f"\nFrom activation to the first mail: {median:.0f} ms (median of {len(times)}), {worst:.0f} ms at most", end=""
    )
    print("   (aim: 1,000)")
    return {"median_ms": median, "worst_ms": worst}


def _paging(folder: Path) -> dict[str, float]:
    """What pages take on a full log, in an installation of its own."""
    environment = {**os.environ, "BENCH_DIR": str(folder), "ROWS": str(ROWS)}
    done = subprocess.run(
        [sys.executable, "-m", "bench.pages"],
        cwd=ours.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"\nThe pages could not be measured:\n{done.stderr[-2000:]}")
        return {}
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"\nPages with {ROWS:,} messages and 10,000 revisions, milliseconds:")
    for name, ms in found.items():
        print(f"  {name:30}{ms:8.0f}")
    return found


if __name__ == "__main__":
    main()

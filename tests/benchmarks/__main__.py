"""Measure, and write `docs/benchmarks.md`, `.json` and `.svg`: `make bench`, for parts with BENCH_ARGS="in-process"."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tests.benchmarks import footprint, instructions, report, revoked, served, watches


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, to see that all of it runs")
    parser.add_argument("--dry", action="store_true", help="print the table, and leave the docs as they are")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results: dict[str, Any] = {"machine": report.machine()}
    for name in chosen.parts or PARTS:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        results[name.replace("-", "_")] = PARTS[name](10 if chosen.quick else 1)
    print(report.table(results))
    if not chosen.dry:
        report.write(results)


def _in_process(share: int) -> Any:
    from tests.benchmarks import in_process

    return asyncio.run(in_process.measure(rounds=200 // share, requests=50))


PARTS: dict[str, Callable[[int], Any]] = {
    "in-process": _in_process,
    "served": lambda share: served.measure(rounds=max(8 // share, 1), seconds=max(2 // share, 1)),
    "instructions": lambda share: instructions.measure(requests=max(100 // share, 20)),
    "memory": lambda share: footprint.in_own_process("memory", footprint.MANY // share + 10_000 * (share > 1)),
    "growth": lambda share: footprint.in_own_process("growth", 200 // share, 50),
    "watches": lambda share: asyncio.run(watches.measure(watches.CONNECTIONS // share)),
    "revoked": lambda share: asyncio.run(revoked.measure(revoked.ENTRIES // share)),
    "imports": lambda share: footprint.in_own_process("imports", 20 // share),
}

if __name__ == "__main__":
    main()

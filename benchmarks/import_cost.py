"""What importing costs: modules and CPU time of the package, of its client, and of the HTTP library.

Method: each measurement is a fresh interpreter with asyncio already loaded, which counts the modules that a statement adds and takes
its CPU time (user + system). The statements take turns and are repeated; figures are medians with the least and the most. Byte code
is compiled beforehand by one run that is not counted, into a folder of this program's own: a tree is not compiled by an installer, and
PYTHONDONTWRITEBYTECODE would have one side compile each time.

    python benchmarks/import_cost.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

PROGRAM = """
import asyncio, json, sys, time
before, began = set(sys.modules), time.process_time()
{statement}
print(json.dumps([len(set(sys.modules) - before), (time.process_time() - began) * 1e3]))
"""
STATEMENTS = {
    "import amplitude_async": "import amplitude_async",
    "touch AsyncAmplitude": "import amplitude_async; amplitude_async.AsyncAmplitude",
    "import httpx": "import httpx",
}


def measure(statement: str, byte_code: str) -> tuple[int, float]:
    """Return how many modules a statement adds, and its CPU time in ms."""
    command = [sys.executable, "-c", PROGRAM.format(statement=statement)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = byte_code
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    modules, cpu = json.loads(done.stdout)
    return modules, cpu


def main() -> None:
    """Measure and print, with the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    repeats = 5 if parser.parse_args().quick else 21
    results: dict[str, list[tuple[int, float]]] = {name: [] for name in STATEMENTS}
    with tempfile.TemporaryDirectory() as byte_code:
        for statement in STATEMENTS.values():
            measure(statement, byte_code)
        for _ in range(repeats):
            for name, statement in STATEMENTS.items():
                results[name].append(measure(statement, byte_code))
    medians = {}
    for name, runs in results.items():
        times = [cpu for _, cpu in runs]
        medians[name] = statistics.median(times)
        print(f"{name:24} {runs[0][0]:4} modules   CPU {medians[name]:7.2f} ms [{min(times):.2f} .. {max(times):.2f}]")
    package, touched = results["import amplitude_async"][0][0], results["touch AsyncAmplitude"][0][0]
    http = medians["import httpx"]
    checks = [
        ("import adds at most 10 modules", package <= 10),
        ("import costs at most a tenth of httpx's CPU", medians["import amplitude_async"] <= http / 10),
        ("touching the client adds at most 75 modules", touched <= 75),
        ("touching the client costs no more CPU than httpx", medians["touch AsyncAmplitude"] <= http),
    ]
    for what, holds in checks:
        print(f"  {'holds' if holds else 'MISSED'}: {what}")


if __name__ == "__main__":
    main()

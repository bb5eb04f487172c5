"""One command that measures credchain and azure-identity side by side: `python benchmarks/run.py --help`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import environments
import report
import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
WORKLOADS = HERE / "workloads"
PATIENCE = 60.0
VALGRIND_PATIENCE = 1200.0
IMPORTS = {
    "peer": "from azure.identity.aio import DefaultAzureCredential",
    "floor": "import aiohttp",
    "ours": "from credchain.aio import DefaultAzureCredential",
}
COUNTED = 2000


def main() -> int:
    """Measure what is asked for, and print it."""
    asked = arguments()
    workloads = chosen(asked.rows)
    with contextlib.ExitStack() as stack:
        workdir = Path(asked.workdir or stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        workdir.mkdir(parents=True, exist_ok=True)
        made = environments.make(workdir)
        bench = stack.enter_context(Bench.opened(made, workdir))
        results: list[report.Line] = []
        for workload in workloads:
            results += bench.measure(workload, workload.quick if asked.quick else workload.samples)
            save(asked.json, made, results)
        if asked.instructions:
            results += bench.count_instructions()
        save(asked.json, made, results)
    print(report.table(results))
    print(f"\n{machine(made)}")
    missed = [line.metric.title for line in results if line.reached is False]
    print(f"{len(missed)} targets not reached" + "".join(f"\n  {title}" for title in missed))
    return 0


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description="Measure credchain and azure-identity side by side, on loopback.")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--rows", help="only workloads whose names begin with one of these, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every sample to a file")
    parser.add_argument("--workdir", type=Path, help="keep the environments here; a temporary folder otherwise")
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions too, with valgrind; takes minutes"
    )
    parser.add_argument("--list", action="store_true", help="list the workloads, and do nothing")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(workload.name for workload in rows.everything()))
        raise SystemExit
    if asked.instructions and shutil.which("valgrind") is None:
        parser.error("--instructions needs valgrind, which is not installed")
    return asked


def chosen(names: str | None) -> list[rows.Workload]:
    """The workloads of the names given; none for `none`."""
    if names == "none":
        return []
    beginnings = tuple((names or "").split(","))
    return [workload for workload in rows.everything() if workload.name.startswith(beginnings)]


def machine(made: environments.Environments) -> str:
    """What the figures were measured on, without names."""
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    return f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} processors; {versions}"


def save(path: Path | None, made: environments.Environments, results: list[report.Line]) -> None:
    """Write what there is; after each workload, so that nothing is lost."""
    if path is not None:
        data = {"machine": machine(made), "rows": [line.record() for line in results]}
        path.write_text(json.dumps(data, indent=1) + "\n")


class Bench:
    """Two interpreters and an emulator: runs one sample after another, the sides in turn."""

    def __init__(self, made: environments.Environments, workdir: Path, emulator: subprocess.Popen[str]) -> None:
        self._made = made
        self._emulator = emulator
        self._home = workdir / "home"
        self._home.mkdir(exist_ok=True)
        assert emulator.stdout is not None
        self._variables: dict[str, str] = json.loads(emulator.stdout.readline())

    @classmethod
    @contextlib.contextmanager
    def opened(cls, made: environments.Environments, workdir: Path) -> Iterator[Bench]:
        """With an emulator in a process of its own, until the end."""
        command = [made.ours, HERE / "serve.py", workdir]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as emulator:
            try:
                yield cls(made, workdir, emulator)
            finally:
                assert emulator.stdin is not None
                emulator.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    emulator.wait(10)
                emulator.kill()

    def order(self, do: str, **arguments: Any) -> Any:
        """Have the emulator do something."""
        assert self._emulator.stdin is not None
        assert self._emulator.stdout is not None
        self._emulator.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._emulator.stdin.flush()
        return json.loads(self._emulator.stdout.readline())["answer"]

    def measure(self, workload: rows.Workload, samples: int) -> list[report.Line]:
        """The sides in turn, as often as asked; the first round of all only warms files and caches.

        A side that fails, or hangs, once is not asked again.
        """
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in workload.sides}
        if workload.how != "plain":
            for side in workload.sides:
                self.sample(workload, side)
        given_up: set[str] = set()
        for number in range(samples):
            for side in [side for side in workload.sides if side not in given_up]:
                print(f"{workload.name} {side} {number + 1}/{samples}", file=sys.stderr, flush=True)
                figures = self.sample(workload, side)
                if "absent" in figures:
                    print(f"  {figures['absent']}", file=sys.stderr)
                    given_up.add(side)
                else:
                    found[side].append(figures)
        return report.lines(workload, found)

    def sample(self, workload: rows.Workload, side: str) -> dict[str, Any]:
        """One run in a fresh process."""
        self.order("reset")
        if workload.how == "import":
            bare = self._seconds(side, "pass")
            return {"wall": (self._seconds(side, IMPORTS[side]) - bare) * 1000, **self._run(workload, side)}
        started = time.time()
        figures = self._run(workload, side)
        if workload.how == "start":
            figures["start"] = (figures.pop("ready") - started) * 1000
        return figures

    def _seconds(self, side: str, code: str) -> float:
        command, variables = [self._made.of(side), "-c", code], self._environment(None)
        start = time.perf_counter()
        subprocess.run(command, env=variables, check=True)
        return time.perf_counter() - start

    def _run(self, workload: rows.Workload, side: str) -> dict[str, Any]:
        command = [self._made.of(side), WORKLOADS / workload.script, side, *workload.arguments]
        variables = self._environment(workload)
        with subprocess.Popen(
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                return self._conversation(process)
            except (RuntimeError, queue.Empty) as problem:
                process.kill()
                assert process.stderr is not None
                said = process.stderr.read().strip()
                print(f"  no figures: {problem or 'it took too long'} {said[-2000:]}", file=sys.stderr)
                return {"absent": "this sample failed"}

    def _conversation(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Obey until the figures come."""
        assert process.stdin is not None
        assert process.stdout is not None
        heard: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_listen, args=(process.stdout, heard), daemon=True).start()
        figures: dict[str, Any] | None = None
        end = time.monotonic() + PATIENCE
        while line := heard.get(timeout=max(0.1, end - time.monotonic())):
            said = json.loads(line)
            if "figures" in said:
                figures = said["figures"]
            else:
                process.stdin.write(json.dumps({"answer": self.order(**said)}) + "\n")
                process.stdin.flush()
        if figures is None:
            raise RuntimeError("it ended without any:")
        return figures

    def _environment(self, workload: rows.Workload | None) -> dict[str, str]:
        """What a process finds: nothing of this one's, but its PATH."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "LANG", "LC_ALL")}
        variables = {**kept, "HOME": str(self._home), "PYTHONHASHSEED": "0"}
        kind = "nothing" if workload is None else workload.environment
        if kind != "nothing":
            variables |= self._variables
        elif workload is not None:
            variables["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = self._variables["AZURE_POD_IDENTITY_AUTHORITY_HOST"]
        if kind == "machine":
            for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
                variables.pop(name, None)
        if workload is not None and workload.prod:
            variables["AZURE_TOKEN_CREDENTIALS"] = "prod"
        if workload is not None and workload.packages:
            variables["PYTHONPATH"] = str(environments.crowd(self._home, workload.packages))
        return variables

    def count_instructions(self) -> list[report.Line]:
        """Instructions of the import, and of a cached call: those of 2 N calls without those of N."""
        imports = {
            side: [self._counted(side, ["-c", IMPORTS[side]]) - self._counted(side, ["-c", "pass"])]
            for side in report.SIDES
        }
        title = "import, instructions beyond a bare interpreter"
        found = [_instructions("import", title, imports, scale=1e6, unit="million", target=None)]
        for kind in ("secret", "default"):
            for method in ("get_token", "get_token_info"):
                calls = {side: [self._per_call(side, kind, method)] for side in report.SIDES}
                title = f"cached `{method}`, {'default chain' if kind == 'default' else 'client secret'}, instructions"
                target = rows.Target(10_000)
                found.append(_instructions(f"{kind}-{method}", title, calls, scale=1, unit="", target=target))
        return found

    def _per_call(self, side: str, kind: str, method: str) -> float:
        script = str(WORKLOADS / "counted_calls.py")
        once, twice = (
            self._counted(side, [script, side, kind, method, str(calls)]) for calls in (COUNTED, 2 * COUNTED)
        )
        return round((twice - once) / COUNTED)

    def _counted(self, side: str, command: list[str]) -> float:
        print(f"instructions {side} {' '.join(command[1:])}", file=sys.stderr, flush=True)
        self.order("reset")
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}"]
        done = subprocess.run(
            [*valgrind, self._made.of(side), *command],
            env={**self._environment(None), **self._variables},
            capture_output=True,
            text=True,
            timeout=VALGRIND_PATIENCE,
            check=True,
        )
        counted = re.search(r"Collected : (\d+)", done.stderr)
        assert counted is not None, done.stderr
        return float(counted[1])


def _instructions(
    name: str, title: str, counts: dict[str, list[float]], *, scale: float, unit: str, target: rows.Target | None
) -> report.Line:
    samples = {side: [count / scale for count in many] for side, many in counts.items()}
    return report.Line(f"instructions-{name}", rows.Metric("count", title, unit, target), samples, frozenset())


def _listen(stream: Any, heard: queue.Queue[str]) -> None:
    for line in stream:
        heard.put(line)
    heard.put("")


if __name__ == "__main__":
    sys.exit(main())

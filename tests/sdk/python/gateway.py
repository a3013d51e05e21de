"""What the tests share: the addresses, clients, and the mock upstream's controls."""

import functools
import json
import os
import time
import unittest
import urllib.request

import openai

BASE_URL = os.environ["MILLGATE_URL"] + "/v1"
MOCK_URL = os.environ["MOCK_URL"]
DEAD_URL = os.environ["DEAD_URL"]

# The model that leads to each kind of backend.
BACKENDS = {"openai": "mock-model", "ollama": "ollama-model", "rehearsal": "rehearsal"}

QUESTION = [{"role": "user", "content": "안녕하세요, how are you?"}]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}

PATIENCE_SECONDS = 10


def control(method, path, document=None):
    """One call of the mock's own controls."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(MOCK_URL + "/mock" + path, data=body, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as reply:
        return json.load(reply)


def script(models=None, **script):
    """Sets what the mock does: `models` for requests of these models, the other keys for all the rest."""
    # These two stand in the plan so that the mock lists them.
    listed = {"mock-model": script, "ollama-model": script}
    control("PUT", "/script", script | {"models": listed | (models or {})})


def requests():
    """What has reached the mock since the test began."""
    return control("GET", "/requests")


def wait_for_count(name, value):
    """Waits until one of the mock's counts has come to a value."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (counts := control("GET", "/counts"))[name] != value:
        if time.monotonic() > until:
            raise AssertionError(f"{name} is not {value}: {counts}")
        time.sleep(0.01)


class GatewayTest(unittest.TestCase):
    """A test whose mock begins anew: it answers well, and has seen nothing."""

    def setUp(self):
        self.begin()
        self.client = self.new_client()

    def new_client(self, **options):
        """A client as an application makes it: one URL changed."""
        client = openai.OpenAI(base_url=options.pop("base_url", BASE_URL), api_key=options.pop("api_key", "application-key"), **options)
        self.addCleanup(client.close)
        return client

    def begin(self):
        """Makes the mock forget what it was told and what it has seen."""
        script()
        control("DELETE", "/requests")


def on_backends(*names):
    """Runs a test once for each of these kinds of backend (default: all), with a fresh mock."""

    def decorate(test):
        @functools.wraps(test)
        def run(self):
            for backend in names or BACKENDS:
                with self.subTest(backend=backend):
                    self.begin()
                    test(self, backend, BACKENDS[backend])

        return run

    return decorate

#!/usr/bin/env python3
"""What Prometheus makes of /metrics: `run.py path/to/millgate`, with promtool and prometheus installed.

Starts `millgate mock` and the gateway before it, sends requests that are known, has promtool judge what is scraped, starts a
real Prometheus that scrapes the gateway, and compares what its queries answer with what was sent.
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]

PATIENCE = 60  # seconds; reaching it is a failure

CONFIG = """
pipeline = ["cache", "route"]
[stages.cache]
[prices."gpt-test"]
input = 1
output = 2
[providers.first]
kind = "openai"
base_url = "{mock}/v1"
[providers.second]
kind = "rehearsal"
[routes.main]
model = "*"
targets = ["first", "second"]
retries = 1
backoff = "1ms"
"""

SCRAPES = """
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: millgate
    static_configs: [{{ targets: ["{operators}"] }}]
"""

EXPECTED = {
    'sum(millgate_exchanges_total)': 14,
    'sum(millgate_exchanges_total{outcome="ok"})': 12,
    'sum(millgate_exchanges_total{outcome="upstream_error"})': 1,
    'sum(millgate_exchanges_total{outcome="client_error"})': 1,
    'sum(millgate_attempts_total{provider="first",result="503"})': 2,
    'sum(millgate_attempts_total{provider="first",result="ok"})': 11,
    'sum(millgate_retries_total)': 1,
    'sum(millgate_tokens_total{model="gpt-test",type="output"})': 11 * 4,
    'sum(gen_ai_client_token_usage_sum{gen_ai_token_type="input"})': 11 * 11,
    'sum(gen_ai_client_operation_duration_seconds_count{error_type="503"})': 2,
    'count(histogram_quantile(0.5, sum by (le) (gen_ai_server_request_duration_seconds_bucket)) > 0)': 1,
    'millgate_cache_requests_total{result="hit"}': 1,
    'millgate_in_flight_exchanges': 0,
    'millgate_config_generation': 1,
    'count(process_resident_memory_bytes{job="millgate"} > 1e6)': 1,
    'up{job="millgate"}': 1,
}


def fetch(url, body=None, headers=None):
    """Status and text of a reply, whatever its status."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(what, condition, process=None):
    """The first true result of the condition; whoever has to bring it about must not end."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise SystemExit(f"{what}: the process ended with {process.returncode}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if found := condition():
                return found
        time.sleep(0.1)
    raise SystemExit(f"{what}: not within {PATIENCE} s")


def free_port():
    """A port that is free, or was just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(command, **options):
    """A process that is ended at the end."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def send(url):
    """The requests that EXPECTED counts."""
    def chat(model="gpt-test", content="hi", **members):
        messages = [{"role": "user", "content": content}]
        body = {"model": model, "messages": messages, **members}
        return fetch(f"{url}/v1/chat/completions", body)[0]

    sent = [chat() for _ in range(5)]
    sent += [chat(stream=True) for _ in range(5)]
    # Asked for once, given twice.
    sent += [chat(content="keep", temperature=0) for _ in range(2)]
    assert sent == [200] * 12, sent
    # A rehearsed answer would hide that something real has failed.
    assert chat("gpt-broken") == 503
    assert fetch(f"{url}/v1/chat/completions", b'{"model":')[0] == 400


def judge(text, form):
    """promtool's verdict; it has one on the classic form alone."""
    found = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=PATIENCE, check=False
    )
    if found.returncode != 0 or found.stdout or found.stderr:
        raise SystemExit(f"promtool on the {form}:\n{found.stdout}{found.stderr}")
    print(f"promtool check metrics: clean ({form}, {len(text.splitlines())} lines)")


def query(prometheus, expression):
    """The value that a query answers; None where it answers nothing."""
    _, text = fetch(f"{prometheus}/api/v1/query?query={urllib.parse.quote(expression)}")
    result = json.loads(text)["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def refused_expressions(prometheus):
    """The expressions of the dashboard that Prometheus cannot read."""
    dashboard = json.loads((ROOT / "deploy/grafana/millgate.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    expressions = [target["expr"] for target in targets]
    expressions += [note["expr"] for note in dashboard["annotations"]["list"]]
    refused = []
    for expression in expressions:
        asked = expression.replace("$__rate_interval", "1m")
        for variable in ("$job", "$instance", "$route"):
            asked = asked.replace(variable, ".*")
        status, text = fetch(f"{prometheus}/api/v1/query?query={urllib.parse.quote(asked)}")
        if status != 200:
            refused.append(f"{expression}: {text}")
    print(f"dashboard: {len(expressions)} expressions, {len(refused)} refused")
    return refused


def main(millgate):
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock, clients, operators, scraper = (f"127.0.0.1:{free_port()}" for _ in range(4))
        script = folder / "script.json"
        script.write_text('{"models": {"gpt-broken": {"status": 503}}}')
        upstream = stack.enter_context(
            running([millgate, "mock", "--listen", mock, "--script", str(script)], stdout=subprocess.DEVNULL)
        )
        wait_for("the mock", lambda: fetch(f"http://{mock}/mock/counts")[0] == 200, upstream)
        (folder / "config.toml").write_text(CONFIG.format(mock=f"http://{mock}"))
        command = [millgate, "serve", "--listen", clients, "--admin-listen", operators]
        log = stack.enter_context((folder / "log").open("wb"))
        gateway = stack.enter_context(running(command, cwd=folder, stdout=log, stderr=log))
        wait_for("the gateway", lambda: fetch(f"http://{operators}/readyz")[0] == 200, gateway)
        send(f"http://{clients}")

        metrics = f"http://{operators}/metrics"
        judge(fetch(metrics)[1], "classic form")
        _, text = fetch(metrics, headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert text.endswith("# EOF\n") and " # {request_id=" in text, text[-200:]

        (folder / "prometheus.yml").write_text(SCRAPES.format(operators=operators))
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={scraper}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]
        prometheus = stack.enter_context(running(command))
        url = f"http://{scraper}"
        wait_for("Prometheus", lambda: fetch(f"{url}/-/ready")[0] == 200, prometheus)
        def equals(expression):
            return query(url, expression) == EXPECTED[expression]

        # A scrape may have come before the last exchange had wholly ended; what stays wrong is told below.
        with contextlib.suppress(SystemExit):
            wait_for("the numbers", lambda: all(map(equals, EXPECTED)), prometheus)
        wrong = []
        for expression, expected in EXPECTED.items():
            found = query(url, expression)
            print(f"{expression} = {found}")
            if found != expected:
                wrong.append(f"{expression} is {found}, and should be {expected}")
        wrong += refused_expressions(url)
        now = time.time()
        window = urllib.parse.urlencode(
            {"query": "millgate_exchange_duration_seconds_bucket", "start": now - 600, "end": now + 60}
        )
        examples = json.loads(fetch(f"{url}/api/v1/query_exemplars?{window}")[1])["data"]
        ids = [example["labels"]["request_id"] for series in examples for example in series["exemplars"]]
        print(f"exemplars: {len(ids)}")
        if not ids:
            wrong.append("Prometheus has kept no exemplar")
        if wrong:
            raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(str(pathlib.Path(sys.argv[1]).resolve()))

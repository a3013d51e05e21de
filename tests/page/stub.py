#!/usr/bin/env python3
"""Stands in for a gateway's admin listener: the page's files as they are in src/, and answers in the shapes of the admin API.

    tests/page/stub.py [--port PORT] [--token TOKEN] [--no-ledger]

The figures are made up, and the same every time. For working on the page, and for what a real gateway cannot be made to say
at will. Standard library only.
"""

import argparse
import json
import math
import pathlib
import queue
import random
import re
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "admin" / "page.rs"
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
STEPS = {"5m": (5, 60), "1h": (30, 120), "24h": (300, 288), "7d": (1800, 336)}
TYPES = {"HTML": "text/html; charset=utf-8", "CSS": "text/css; charset=utf-8", "SCRIPT": "text/javascript; charset=utf-8", "SVG": "image/svg+xml"}


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def page_files():
    """The files and the policy that the gateway serves, as its source lists them."""
    text = SOURCE.read_text()
    listed = re.findall(r'^    "(/[^"]*)" (\w+) "([^"]+)";', text, re.M)
    policy = re.search(r'const POLICY: .*?from_static\(\s*"(.*?)",\s*\)', text, re.S)[1]
    return {path: (TYPES[kind], SOURCE.parent / "page" / file) for path, kind, file in listed}, re.sub(r"\\\n\s*", "", policy)


def percentiles(p50, p95, p99=None):
    shown = {"p50_ms": round(p50, 3), "p95_ms": round(p95, 3)}
    return shown | ({} if p99 is None else {"p99_ms": round(p99, 3)})


class Figures:
    """What the gateway would say, made from one seed."""

    def __init__(self):
        self.random = random.Random(7)
        self.now = datetime.now(timezone.utc).replace(microsecond=0)
        self.started = self.now - timedelta(days=3, hours=4, minutes=12)
        self.exchanges = [self.exchange(index) for index in range(60)]
        self.cache = {
            "entries": 812, "bytes": 41_320_448, "max_bytes": 67_108_864, "flights": 3, "hits": 18_244, "stale": 61, "misses": 30_412,
            "collapsed": 2217, "bypassed": 9120, "stored": 22_871, "files": 640, "file_bytes": 51_200_300, "unwritten": 0,
        }

    def point(self, moment, step):
        roll = self.random
        wave = 1 + 0.45 * math.sin(moment.timestamp() / (step * 19)) + 0.18 * math.sin(moment.timestamp() / (step * 5.3))
        exchanges = max(0, round(step * 6.4 * wave + roll.gauss(0, step * 0.35)))
        burst = 0.12 if 0.55 < (moment.timestamp() / (step * 60)) % 1 < 0.62 else 0.004
        errors = sum(roll.random() < burst for _ in range(exchanges)) if exchanges < 4000 else round(exchanges * burst)
        slow = 1 + burst * 6 + roll.random() * 0.12
        served = exchanges - errors
        hits = round(served * (0.37 + 0.05 * math.sin(moment.timestamp() / (step * 31))))
        return {
            "time": stamp(moment), "exchanges": exchanges, "errors": errors, "refused": round(exchanges * 0.021), "cancelled": round(exchanges * 0.013),
            "rate": round(exchanges / step, 4), "latency": percentiles(640 * slow, 2100 * slow, 4900 * slow),
            "overhead": percentiles(0.085 * slow, 0.31 * slow, 0.92 * slow), "first": percentiles(210 * slow, 690 * slow),
            "input_tokens": served * 812, "output_tokens": served * 268, "estimated_tokens": served * 9, "tokens_per_s": round(served * 268 / step, 3),
            "cost": round(served * 0.00212, 6), "cache_hits": hits, "cache_misses": served - hits, "saved": round(hits * 0.0019, 6),
        }

    def history(self, name):
        step, steps = STEPS[name]
        self.random.seed(name)
        last = datetime.fromtimestamp(self.now.timestamp() // step * step, timezone.utc)
        points = [self.point(last - timedelta(seconds=step * back), step) for back in reversed(range(steps))]
        summed = ["exchanges", "errors", "refused", "cancelled", "input_tokens", "output_tokens", "estimated_tokens", "cache_hits", "cache_misses"]
        totals = {member: sum(point[member] for point in points) for member in summed}
        totals |= {member: round(sum(point[member] for point in points), 6) for member in ("cost", "saved")}
        totals |= {
            "rate": round(totals["exchanges"] / (step * steps), 4), "latency": percentiles(671.4, 2288.1, 5431.9), "overhead": percentiles(0.088, 0.327, 0.981),
            "first": percentiles(219.5, 731.2), "tokens_per_s": round(totals["output_tokens"] / (step * steps), 3),
        }
        return {"range": name, "step_s": step, "since": stamp(self.started), "points": points, "totals": totals}

    def exchange(self, index, **given):
        roll = self.random
        models = ["gpt-4o", "gpt-4o-mini", "claude-sonnet", "llama3.1", "text-embedding-3-small"]
        model = models[index % len(models)]
        asked = HOSTILE if index == 3 else model
        outcome = "ok" if index == 4 else {5: "upstream_error", 11: "rejected", 17: "client_closed", 23: "timeout", 31: "client_error"}.get(index % 37, "ok")
        status = {"ok": 200, "upstream_error": 502, "rejected": 429, "client_closed": 200, "timeout": 504, "client_error": 400}[outcome]
        cache = "hit" if index % 6 == 1 and outcome == "ok" else "miss"
        upstream = 0.0 if cache == "hit" or outcome == "rejected" else round(300 + roll.random() * 2400, 3)
        reading, overhead = round(0.2 + roll.random(), 3), round(0.06 + roll.random() * 0.3, 3)
        total = round(upstream + reading + overhead, 3)
        stages = [{"name": "auth", "ms": 0.021}, {"name": "redact", "ms": round(overhead * 0.4, 3)}, {"name": "limit", "ms": 0.004}, {"name": "cache", "ms": 0.012}]
        last = {"provider": "internal", "target": f"internal/{model}", "model": model, "begun_ms": round(reading + overhead * 0.7, 3),
                "took_ms": round(upstream * 0.4, 3), "failure": None, "stages": [{"name": "company_headers", "ms": 0.006}]}
        attempts = [last] if upstream else []
        if index == 4 or (upstream and index % 9 == 4):
            failed = last | {"provider": "azure", "target": f"azure/{model}", "took_ms": round(upstream * 0.22, 3), "failure": "server_error", "stages": []}
            attempts = [failed, last | {"begun_ms": round(last["begun_ms"] + upstream * 0.27, 3), "took_ms": round(upstream * 0.35, 3)}]
        if outcome in ("upstream_error", "timeout") and attempts:
            attempts[-1] = attempts[-1] | {"took_ms": upstream, "failure": outcome}
        moment = self.now - timedelta(seconds=index * 1.7)
        answered = outcome in ("ok", "client_closed")
        return {
            "id": f"01935f2a-{index:04x}-7c3e-9b1d-{roll.getrandbits(48):012x}", "request_id": f"req_{roll.getrandbits(64):016x}", "time": stamp(moment),
            "caller": ["billing", "search", "support-bot", "김지수"][index % 4], "team": ["core", "core", "care", "연구"][index % 4], "endpoint": "chat_completions",
            "method": "POST", "path": "/v1/chat/completions", "route": "default", "asked": asked, "provider": "internal" if answered else None,
            "model": model if answered else None, "stream": index % 2 == 0, "status": status, "outcome": outcome,
            "error": {"rejected": "rate_limit_exceeded", "upstream_error": "upstream_error", "timeout": "upstream_timeout", "client_error": "invalid_request"}.get(outcome),
            "cache": cache, "attempts": attempts, "stages": stages, "total_ms": total, "reading_ms": reading, "upstream_ms": upstream or None,
            "overhead_ms": overhead, "first_ms": round(total * 0.41, 3) if answered else None,
            "tokens": {"input": 400 + index * 13, "output": 120 + index * 7, "cached": 64 if index % 5 == 0 else 0, "reasoning": 0, "estimated": outcome == "client_closed"} if answered else None,
            "cost": round(0.0011 + index * 0.00007, 6) if answered and cache == "miss" and model != "llama3.1" else None,
            "saved": 0.0014 if cache == "hit" else None, "request_bytes": 2048 + index * 37, "bytes": 5120 + index * 91, "trace_id": f"{roll.getrandbits(128):032x}",
        } | given

    def usage(self, by, since):
        names = {"model": ["gpt-4o", "claude-sonnet", "gpt-4o-mini", "llama3.1", HOSTILE], "caller": ["billing", "search", "support-bot", "김지수", None],
                 "ticket": [f"OPS-{number}" for number in range(64)]}
        most = 3 * math.prod(STEPS[since])
        rows = []
        for index, key in enumerate(names.get(by, [f"{by}-a", f"{by}-b", None])):
            size = most // (index * index + 1)
            rows.append({
                "key": key, "exchanges": size, "errors": size // 240, "cancelled": size // 90, "input_tokens": size * 812, "output_tokens": size * 268,
                "cached_tokens": size * 40, "reasoning_tokens": size * 12, "estimated_tokens": 1200 if index == 1 else 0, "cost": None if index == 3 else round(size * 0.0021, 6),
                "unpriced_exchanges": size if index == 3 else 0, "cache_hits": size // 3, "saved": round(size * 0.0006, 6)})
        totals = {"key": None} | {member: sum(row[member] or 0 for row in rows) for member in rows[0] if member != "key"}
        return {"since": stamp(self.now - timedelta(hours=1)), "until": stamp(self.now), "by": by, "rows": rows, "totals": totals}

    def status(self, token):
        def stage(name, kind, position, mean, p95, count=48_210):
            return {"name": name, "kind": kind, "position": position, "time": {"count": count, "mean_ms": mean, "p95_ms": p95}}

        def provider(name, kind, attempts, failures, latency, pool):
            return {"name": name, "kind": kind, "attempts": attempts, "failures": failures, "rate": round(attempts / 11_000, 3),
                    "error_rate": round(failures / attempts, 5) if attempts else None, "latency": latency, "pool": pool}

        unknown = {"p50_ms": None, "p95_ms": None, "p99_ms": None}
        return {
            "version": "0.1.0", "generation": 4, "environment": "production", "started_at": stamp(self.started),
            "uptime_s": 274_320 + round(time.time() - self.now.timestamp()), "ready": True, "draining": False, "in_flight": 7, "admin_auth": "token" if token else "none",
            "pipeline": [stage("auth", "auth", "above", 0.021, 0.048), stage("redact", "redact", "above", 0.094, 0.37), stage("limit", "rate_limit", "above", 0.004, 0.009),
                         stage("cache", "cache", "cache", 0.012, 0.031), {"name": "route", "kind": "route", "position": "route", "time": None},
                         stage("company_headers", "auth_header", "below", 0.006, 0.011, 30_412)],
            "routes": [{"name": "default", "patterns": ["*"], "targets": [{"label": "internal", "provider": "internal", "model": None, "live": True}, {"label": "azure", "provider": "azure", "model": None, "live": True}, {"label": "ollama", "provider": "ollama", "model": "llama3.1", "live": False}]},
                       {"name": "embeddings", "patterns": ["text-embedding-*"], "targets": [{"label": "internal/text-embedding-3-small", "provider": "internal", "model": "text-embedding-3-small", "live": True}]}],
            "providers": [provider("internal", "openai", 28_914, 71, percentiles(684.2, 2301.5, 5290.1), {"open": 14, "idle": 9, "reused": 28_640, "connects": 274, "connect_ms": 11.4}),
                          provider("azure", "openai", 1402, 96, percentiles(911.8, 3120.4, 7204.9), {"open": 3, "idle": 3, "reused": 1371, "connects": 31, "connect_ms": 24.7}),
                          provider("ollama", "ollama", 96, 0, percentiles(1833.0, 4120.0, 6002.0), {"open": 1, "idle": 1, "reused": 92, "connects": 4, "connect_ms": 0.42}),
                          provider("rehearsal", "rehearsal", 0, 0, unknown, None)],
            "cache": dict(self.cache), "ledger": {"kind": "sqlite", "ok": True, "waiting": 2, "written": 61_204, "dropped": 0},
            "traces": {"on": True, "waiting": 14, "exported": 58_020, "dropped": 3}, "memory": {"resident_bytes": 48_234_496, "open_fds": 61},
        }


class Stub(ThreadingHTTPServer):
    """`emit(event, document)` sends to all who follow; `drop_followers()` closes their streams and opens no new one until
    `refuse_events` is unset; while `is_broken`, the API fails; while `has_forgotten`, no session holds; what is asked for at a
    path with one of the `gates` is answered once that is set."""

    daemon_threads = True

    def __init__(self, port=0, token=None, ledger=True):
        super().__init__(("127.0.0.1", port), Handler)
        self.token, self.has_ledger, self.refuse_events, self.is_broken, self.has_forgotten = token, ledger, False, False, False
        self.figures, self.purges, self.followers, self.gates = Figures(), [], [], {}
        self.files, self.policy = page_files()
        # So many questions to the ledger are refused.
        self.ledger_is_busy_for = 0
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def emit(self, event, document):
        for follower in list(self.followers):
            follower.put((event, document))

    def drop_followers(self):
        self.refuse_events = True
        self.emit(None, None)

    def handle_error(self, request, client_address):
        """A browser that leaves in the middle of a reply is nothing to tell of."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, document=None, headers=(), content_type="application/json"):
        body = b"" if document is None else document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in [("content-type", content_type), ("content-length", str(len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, message):
        self.reply(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})

    @property
    def is_in(self):
        return not self.server.token or not self.server.has_forgotten and "millgate_session=stub" in self.headers.get("cookie", "")

    def do_GET(self):
        figures, split = self.server.figures, urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(split.query).items()}
        if split.path in self.server.files:
            content_type, file = self.server.files[split.path]
            return self.reply(200, file.read_bytes(), [("cache-control", "no-cache"), ("content-security-policy", self.server.policy)], content_type)
        if gate := self.server.gates.get(self.path):
            gate.wait(30)
        if self.server.is_broken:
            return self.error(500, "internal_error", "Out of order.")
        if split.path == "/api/session":
            return self.reply(200, {"signed_in": bool(self.server.token) and self.is_in, "required": bool(self.server.token)})
        if not self.is_in:
            return self.error(401, "unauthorized", "Sign in.")
        if split.path == "/api/status":
            return self.reply(200, figures.status(self.server.token))
        if split.path == "/api/history" and asked.get("range") in STEPS:
            return self.reply(200, figures.history(asked["range"]))
        if split.path == "/api/usage":
            if not self.server.has_ledger:
                return self.error(503, "ledger_off", "There is no ledger.")
            if self.server.ledger_is_busy_for:
                self.server.ledger_is_busy_for -= 1
                return self.error(503, "ledger_busy", "The ledger is answering others.")
            return self.reply(200, figures.usage(asked.get("by", "model"), asked.get("since", "1h")))
        if split.path == "/api/exchanges":
            def passes(one):
                tried = [attempt["provider"] for attempt in one["attempts"]]
                return (asked.get("outcome", one["outcome"]) == one["outcome"] and asked.get("caller", one["caller"]) in (one["caller"], one["team"])
                        and asked.get("provider", one["provider"]) in (one["provider"], *tried) and asked.get("model", one["asked"]) in (one["asked"], one["model"])
                        and (one["id"].startswith(asked.get("q", "")) or one["request_id"].startswith(asked.get("q", ""))))
            return self.reply(200, {"exchanges": [one for one in figures.exchanges if passes(one)][: int(asked.get("limit", 50))]})
        if split.path.startswith("/api/exchanges/"):
            named = [one for one in figures.exchanges if one["id"] == split.path.rsplit("/", 1)[1]]
            return self.reply(200, named[0]) if named else self.error(404, "unknown_exchange", "There is none.")
        if split.path == "/api/events":
            return self.events()
        return self.error(404, "unknown_path", "There is no such path.")

    def events(self):
        if self.server.refuse_events:
            return self.error(503, "too_many_followers", "There are enough.")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-store")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        mine = queue.Queue()
        self.server.followers.append(mine)
        event, document = "status", self.server.figures.status(self.server.token)
        try:
            while event:
                self.wfile.write(f"event: {event}\ndata: {json.dumps(document)}\n\n".encode())
                self.wfile.flush()
                try:
                    event, document = mine.get(timeout=1)
                except queue.Empty:
                    event, document = "status", self.server.figures.status(self.server.token)
        finally:
            self.server.followers.remove(mine)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-type") != "application/json" or self.headers.get("origin", self.server.url) != self.server.url:
            return self.error(403, "forbidden", "Not from there.")
        given = json.loads(body)
        if self.path == "/api/session":
            if given.get("token") != self.server.token:
                return self.error(401, "invalid_token", "That is not the token.")
            return self.reply(204, headers=[("set-cookie", "millgate_session=stub; HttpOnly; SameSite=Strict; Path=/")])
        if not self.is_in:
            return self.error(401, "unauthorized", "Sign in.")
        if self.path == "/api/cache/purge":
            self.server.purges.append(given)
            purged = self.server.figures.cache["entries"] if given == {"all": True} else 5
            self.server.figures.cache["entries"] -= purged
            return self.reply(200, {"purged": purged})
        return self.error(404, "unknown_path", "There is no such path.")

    def do_DELETE(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.server.is_broken:
            return self.error(500, "internal_error", "Out of order.")
        self.reply(204, headers=[("set-cookie", "millgate_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9091)
    parser.add_argument("--token")
    parser.add_argument("--no-ledger", action="store_true")
    arguments = parser.parse_args()
    stub = Stub(arguments.port, arguments.token, not arguments.no_ledger)
    print(stub.url, flush=True)
    try:
        while True:
            time.sleep(3)
            index = stub.figures.random.randrange(60)
            stub.emit("exchange", stub.figures.exchange(index) | {"time": stamp(datetime.now(timezone.utc))})
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()

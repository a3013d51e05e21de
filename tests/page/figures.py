"""Whether the numbers on the page are those of the API: each of them, for every range."""

import json
import time
import urllib.request

from chromium import Failure

# What is shown, as raw values: of single figures by name, of tables by row and column.
SHOWN = """(() => {
    const shown = {};
    for (const element of document.querySelectorAll('main [data-testid], .bar [data-testid]')) {
        if (!element.closest('table, .pipeline')) shown[element.dataset.testid] = element.dataset.value ?? null;
    }
    for (const table of document.querySelectorAll('table[data-testid]')) {
        for (const row of table.querySelectorAll('tbody tr, tfoot tr')) {
            for (const cell of row.children) shown[`${table.dataset.testid} ${row.dataset.key} ${cell.dataset.col}`] = cell.dataset.value ?? null;
        }
    }
    for (const stage of document.querySelectorAll('.pipeline [data-testid^="stage."]')) {
        shown[stage.dataset.testid] = stage.querySelector('[data-testid="mean"]').dataset.value ?? null;
    }
    return { shown, received: window.received };
})()"""


def enter(browser, site, patience=30, **options):
    """The page, signed in where that is needed, once all of its panels have been filled."""
    page = browser.page(**options)
    page.open(site.url + "/")
    if site.token:
        page.until("!document.querySelector('#sign-in').hidden")
        page.write(site.token)
        page.key("Enter")
    page.until("document.querySelector('#main:not([hidden]) .pipeline li') && document.querySelector('#since').textContent", patience)
    page.until("!document.querySelector('#no-ledger').hidden || document.querySelector('#usages tbody tr')", patience)
    page.until("document.querySelector('[data-testid=connection]').dataset.value === 'live'", patience)
    return page


def ask(site, path):
    request = urllib.request.Request(site.url + path, headers={"authorization": f"Bearer {site.token}"} if site.token else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def share(part, whole):
    return part / whole if whole else None


def of_history(totals):
    good = totals["exchanges"] - totals["errors"] - totals["refused"] - totals["cancelled"]
    parts = {"ok": good, "errors": totals["errors"], "refused": totals["refused"], "cancelled": totals["cancelled"]}
    latency, overhead, first = totals["latency"], totals["overhead"], totals["first"]
    return {
        "tile.rate": totals["rate"], "tile.error_share": share(totals["errors"], totals["exchanges"]), "tile.p50": latency["p50_ms"], "tile.p95": latency["p95_ms"],
        "tile.p99": latency["p99_ms"], "tile.overhead": overhead["p95_ms"], "tile.tokens_rate": totals["tokens_per_s"], "tile.cost": totals["cost"], "tile.saved": totals["saved"],
        "tile.hit_ratio": share(totals["cache_hits"], totals["cache_hits"] + totals["cache_misses"]), "cache.saved": totals["saved"],
        **{f"chart.rate.{name}": totals["rate"] * (share(part, totals["exchanges"]) or 0) for name, part in parts.items()},
        **{f"chart.latency.{name}": latency[f"{name}_ms"] for name in ("p50", "p95", "p99")},
        **{f"chart.overhead.{name}": overhead[f"{name}_ms"] for name in ("p50", "p95", "p99")},
        **{f"chart.first.{name}": first[f"{name}_ms"] for name in ("p50", "p95")},
        "chart.tokens.input": totals["input_tokens"], "chart.tokens.output": totals["output_tokens"],
        "chart.tokens.estimated": totals["estimated_tokens"], "chart.cost.cost": totals["cost"], "chart.cost.saved": totals["saved"],
    }


def of_status(status):
    said = {name: status[name] for name in ("version", "generation", "environment", "in_flight")}
    said["ready"] = "draining" if status["draining"] else "ready" if status["ready"] else "not_ready"
    for stage in status["pipeline"]:
        said[f"stage.{stage['name']}"] = (stage["time"] or {}).get("mean_ms")
    for provider in status["providers"]:
        pool, row = provider["pool"] or {}, f"providers {provider['name']}"
        said |= {f"{row} name": provider["name"], f"{row} attempts": provider["attempts"], f"{row} rate": provider["rate"], f"{row} error_rate": provider["error_rate"],
                 f"{row} pool": pool.get("open"), f"{row} reused": pool.get("reused"), f"{row} connect": pool.get("connect_ms")}
        said |= {f"{row} {name}": provider["latency"][f"{name}_ms"] for name in ("p50", "p95", "p99")}
    if cache := status["cache"]:
        answered = cache["hits"] + cache["stale"] + cache["collapsed"]
        names = ("hits", "misses", "stale", "collapsed", "bypassed", "entries", "flights", "bytes")
        said |= {f"cache.{name}": cache[name] for name in names} | {"cache.ratio": share(answered, answered + cache["misses"])}
    return said


def of_usage(panel, usage):
    columns = ("exchanges", "errors", "input_tokens", "output_tokens", "cost", "cache_hits", "saved")
    rows = [(row["key"] or "", row) for row in usage["rows"]] + ([("total", usage["totals"])] if usage["rows"] else [])
    return {f"usage.{panel} {key} {column}": row[column] for key, row in rows for column in columns}


def of_exchanges(exchanges):
    said = {}
    for one in exchanges:
        tokens, row = one["tokens"], f"exchanges {one['id']}"
        said |= {f"{row} outcome": one["outcome"], f"{row} caller": one["caller"], f"{row} model": one["asked"], f"{row} provider": one["provider"],
                 f"{row} attempts": len(one["attempts"]), f"{row} total": one["total_ms"], f"{row} overhead": one["overhead_ms"], f"{row} first": one["first_ms"],
                 f"{row} tokens": tokens and tokens["input"] + tokens["output"], f"{row} cost": one["cost"]}
    return said


def is_same(shown, said):
    if shown is None or said is None or isinstance(said, str):
        return shown == said
    try:
        return abs(float(shown) - said) <= 1e-9 * max(1, abs(said))
    except ValueError:
        return False


def differences(shown, said):
    return [f"{name}: the page has {shown.get(name, 'nothing')}, the API {value}" for name, value in said.items() if name not in shown or not is_same(shown[name], value)]


# These are over a time that goes on: asked a second later, the API says something else.
MOVING = ("tile.rate", "tile.tokens_rate", "chart.rate.", "providers ")


def resting(said):
    return {name: value for name, value in said.items() if not name.startswith(MOVING)}


def settle(page, site, name):
    """Waits until all that is shown is what the page has been told, and what the API tells somebody else."""
    deadline = time.monotonic() + 20
    while True:
        both = page.run(SHOWN)
        shown, received = both["shown"], both["received"]
        told = received.get(f"/api/history?range={name}")
        wrong = differences(shown, of_history(told["totals"])) if told else ["no history has come"]
        wrong += differences(shown, resting(of_history(ask(site, f"/api/history?range={name}")["totals"])))
        status = ask(site, "/api/status")
        wrong += differences(shown, of_status(status) if site.stub else resting(of_status(status)))
        wrong += differences(shown, of_exchanges(ask(site, "/api/exchanges?limit=100")["exchanges"]))
        for panel, by in enumerate(("model", "caller")):
            if f"/api/usage?since={name}&by={by}" in received:
                wrong += differences(shown, of_usage(panel, ask(site, f"/api/usage?since={name}&by={by}")))
            elif site.stub:
                wrong.append(f"no usage by {by} has come")
        if not wrong:
            return len(shown)
        if time.monotonic() > deadline:
            raise Failure("\n".join(wrong[:20]))
        time.sleep(0.2)


def check_every_figure_is_that_of_the_api(browser, site, _):
    page = enter(browser, site, width=1440)
    for name in ("5m", "1h", "24h", "7d"):
        page.click(f"label:has([data-testid='range-{name}'])")
        page.until(f"document.querySelector('#since').dataset.range === '{name}'")
        compared = settle(page, site, name)
        assert compared > 60, compared
    yield page


def check_the_detail_of_an_exchange_is_that_of_the_api(browser, site, _):
    page = enter(browser, site)
    listed = ask(site, "/api/exchanges?limit=100")["exchanges"]
    wanted = max(listed, key=lambda one: (len(one["attempts"]), one["total_ms"]))
    one = ask(site, f"/api/exchanges/{wanted['id']}")
    page.click(f"#exchanges tr[data-key='{one['id']}'] button")
    page.until("document.querySelector('#detail').open")
    shown = page.run("Object.fromEntries([...document.querySelectorAll('#detail [data-testid]')].map((one) => [one.dataset.testid, one.dataset.value ?? one.textContent]))")
    assert shown["detail-id"] == one["id"] and shown["detail-request_id"] == one["request_id"], shown
    assert shown["detail-outcome"] == one["outcome"] and shown["detail-model"] == one["asked"], shown
    said = {"detail-total": one["total_ms"], "detail-gateway": one["overhead_ms"], "detail-upstream": one["upstream_ms"], "detail-first": one["first_ms"]}
    assert not differences(shown, said), differences(shown, said)
    bars = page.run("[...document.querySelectorAll('#detail [data-testid=attempt]')].map((one) => ({ ...one.dataset, left: one.querySelector('i').style.left, width: one.querySelector('i').style.width }))")
    assert len(bars) == len(one["attempts"]), bars
    for bar, attempt in zip(bars, one["attempts"]):
        assert float(bar["begun"]) == attempt["begun_ms"] and float(bar["took"]) == attempt["took_ms"] and bar.get("failure") == attempt["failure"], (bar, attempt)
        assert abs(float(bar["left"].rstrip("%")) - 100 * attempt["begun_ms"] / one["total_ms"]) < 0.01, (bar, attempt)
        assert abs(float(bar["width"].rstrip("%")) - min(100 * attempt["took_ms"] / one["total_ms"], 100)) < 0.01, (bar, attempt)
    yield page

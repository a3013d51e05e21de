"""What comes in an order that nobody wants: tabs that nobody sees, answers that are overtaken, a pause in the middle."""

import json
import threading
import time

from figures import enter
from looks import LIVE

FIRST = "document.querySelector('#exchanges tbody tr')?.dataset.key"
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


def asked(page, path):
    return [event for event in page.events("Network.requestWillBeSent") if event["request"]["url"].endswith(path)]


def until(holds, what, patience=20):
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def check_a_seventh_tab_loads(browser, site, _):
    """A browser has six connections to one address; a tab that nobody sees holds none."""
    first = enter(browser, site)
    others = [enter(browser, site, beside=first) for _ in range(7)]
    assert first.run("document.hidden") and not others[-1].run("document.hidden")
    until(lambda: len(site.stub.followers) == 1, "hidden tabs have let go of their streams")
    new = site.stub.figures.exchange(1, id="01935f2b-0001-7000-8000-000000000001")
    site.stub.figures.exchanges.insert(0, new)
    first.show()
    first.until(f"{LIVE} === 'live' && {FIRST} === {json.dumps(new['id'])}", what="what was missed is there")
    until(lambda: len(site.stub.followers) == 1, "the tab that was seen has let go")
    yield first


def check_a_pause_while_the_stream_is_lost_leaves_one_stream(browser, site, _):
    page = enter(browser, site)
    gate = site.stub.gates["/api/status"] = threading.Event()
    site.stub.drop_followers()
    until(lambda: asked(page, "/api/status"), "the page asks, as there is no stream")
    site.stub.refuse_events = False
    page.click("#pause")
    page.click("#pause")
    page.until(f"{LIVE} === 'live'")
    gate.set()
    page.until("window.received['/api/status']")
    # Longer than the page waits before it looks for a lost stream again.
    time.sleep(2)
    assert len(asked(page, "/api/events")) == 2, "one stream at the start, one after the pause"
    yield page


def check_an_answer_that_is_overtaken_is_not_shown(browser, site, _):
    page = enter(browser, site)
    slow = "/api/usage?since=24h&by=model"
    gate = site.stub.gates[slow] = threading.Event()
    page.click("label:has([data-testid='range-24h'])")
    until(lambda: asked(page, slow), "the first range is asked for")
    page.click("label:has([data-testid='range-7d'])")
    wanted = str(site.stub.figures.usage("model", "7d")["totals"]["exchanges"])
    shown = "document.querySelector('[data-testid=\"usage.0\"] tfoot [data-col=exchanges]').dataset.value"
    page.until(f"{shown} === '{wanted}'")
    gate.set()
    page.until(f"window.received[{json.dumps(slow)}]")
    page.run(FRAMES)
    assert page.run(shown) == wanted
    yield page


def check_a_busy_ledger_is_asked_again_and_what_is_shown_stays(browser, site, _):
    page = enter(browser, site)
    site.stub.ledger_is_busy_for = 1
    page.click("label:has([data-testid='range-7d'])")
    until(lambda: site.stub.ledger_is_busy_for == 0, "the other range is asked for")
    wanted = str(site.stub.figures.usage("model", "7d")["totals"]["exchanges"])
    assert page.run("document.querySelector('#no-ledger').hidden")
    page.until(f"document.querySelector('[data-testid=\"usage.0\"] tfoot [data-col=exchanges]').dataset.value === '{wanted}'")
    yield page


def check_what_ends_while_the_list_is_asked_for_is_in_it(browser, site, _):
    page = enter(browser, site)
    page.leave()
    path = "/api/exchanges?limit=100&outcome=ok"
    gate = site.stub.gates[path] = threading.Event()
    page.run("(() => { const field = document.querySelector('#filters').elements.outcome; field.value = 'ok'; field.dispatchEvent(new Event('input', { bubbles: true })); })()")
    until(lambda: asked(page, path), "the list is asked for")
    new = site.stub.figures.exchange(1, id="01935f2b-0001-7000-8000-000000000001")
    site.stub.emit("exchange", new)
    page.until(f"{FIRST} === {json.dumps(new['id'])}")
    gate.set()
    page.until(f"window.received[{json.dumps(path)}]")
    page.run(FRAMES)
    assert page.run(FIRST) == new["id"]
    yield page


def check_a_flood_of_names_is_cut(browser, site, _):
    page = enter(browser, site)
    page.run("(() => { const by = document.querySelector('#usage-by-0'); by.value = 'ticket'; by.dispatchEvent(new Event('change')); })()")
    page.until("document.querySelectorAll('[data-testid=\"usage.0\"] tbody tr').length === 50")
    assert "50 of 64" in page.run("document.querySelector('[data-testid=usage-more-0]').textContent")
    total = page.run("document.querySelector('[data-testid=\"usage.0\"] tfoot [data-col=exchanges]').dataset.value")
    assert total == str(site.stub.figures.usage("ticket", "1h")["totals"]["exchanges"])
    yield page

"""A real gateway to look at: the binary behind a mock upstream, with traffic of every kind, before the page is opened."""

import http.client
import json
import pathlib
import sys
import urllib.parse

from figures import ask, enter
from stub import HOSTILE

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))
import real_gateway  # noqa: E402

# How the mock answers, by model.
SCRIPT = {"models": {"broken": {"status": 500}, "slow": {"delay": 400}}}


class Gateway:
    """Where its clients and its operators find it."""

    def __init__(self, clients, operators, token):
        self.clients, self.url, self.token = clients, operators, token

    def call(self, model, caller="billing", read=None, **body):
        """One chat completion; with `read`, the client leaves after so many bytes. Returns the status."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.clients).netloc, timeout=20)
        body = {"model": model, "messages": [{"role": "user", "content": "How much water?"}]} | body
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json", "authorization": f"Bearer {caller}-key"})
        response = connection.getresponse()
        response.read(read) if read else response.read()
        connection.close()
        return response.status


def start(stack, binary, token):
    """The gateway, once it has seen traffic."""
    real = real_gateway.start(stack, binary, FOLDER / "config.toml", json.dumps(SCRIPT), MILLGATE_ADMIN_TOKEN=token)
    gateway = Gateway(real.clients, real.operators, token)
    for index in range(6):
        assert gateway.call("gpt-4o", temperature=0, seed=index % 3) == 200
    for model in ("gpt-4o", "llama3.1", "slow", "falls-back", HOSTILE):
        assert gateway.call(model, stream=True) == 200, model
    assert gateway.call("broken") >= 500
    gateway.call("slow", read=1, stream=True)
    assert [gateway.call("gpt-4o", caller="hurried") for _ in range(3)].count(429) >= 1
    return gateway


def check_what_flows_is_shown_as_it_flows(browser, site, shots):
    page = enter(browser, site)
    before = page.run("document.querySelectorAll('#exchanges tbody tr').length")
    assert site.gateway.call("live-one", stream=True) == 200
    page.until("document.querySelector('#exchanges tbody tr td[data-col=model]').dataset.value === 'live-one'")
    assert page.run("document.querySelectorAll('#exchanges tbody tr').length") == before + 1
    page.until("Number(document.querySelector('[data-testid=\"chart.tokens.output\"]').dataset.value) > 0")
    page.screenshot(shots / "gateway.png")
    yield page


def check_the_purge_asks_first_and_purges(browser, site, _):
    page = enter(browser, site)
    kept = ask(site, "/api/cache")["entries"]
    assert kept > 0
    page.click("#purge")
    page.click("#purge-cancel")
    assert ask(site, "/api/cache")["entries"] == kept
    page.click("#purge")
    page.click("#purge-go")
    page.until("!document.querySelector('#purge-dialog').open")
    assert ask(site, "/api/cache")["entries"] == 0
    page.until("document.querySelector('[data-testid=\"cache.entries\"]').dataset.value === '0'")
    yield page


def check_signing_in_and_out(browser, site, _):
    page = browser.page()
    page.open(site.url + "/")
    page.until("!document.querySelector('#sign-in').hidden")
    page.write("not the token, but long")
    page.key("Enter")
    page.until("document.querySelector('#sign-in-error').textContent")
    page.close()
    page = enter(browser, site)
    cookies = page.send("Network.getCookies", urls=[site.url])["cookies"]
    (cookie,) = [cookie for cookie in cookies if cookie["name"].startswith("millgate_session")]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
    assert page.run("fetch('/api/status').then((answer) => answer.status)") == 200
    page.click("#sign-out")
    page.until("!document.querySelector('#sign-in').hidden")
    assert page.run("fetch('/api/status').then((answer) => answer.status)") == 401
    yield page


def check_names_of_clients_stay_text(browser, site, _):
    page = enter(browser, site)
    page.run("document.title = 'mine'")
    shown = page.run("[...document.querySelectorAll('#exchanges td[data-col=model] span')].map((one) => one.textContent)")
    assert HOSTILE in shown, shown
    index = shown.index(HOSTILE)
    page.run(f"document.querySelectorAll('#exchanges tbody button')[{index}].click()")
    page.until("document.querySelector('#detail').open")
    assert page.run("document.querySelector('[data-testid=detail-model]').textContent") == HOSTILE
    assert page.run("document.querySelectorAll('img').length") == 0 and page.run("document.title") != "taken"
    yield page

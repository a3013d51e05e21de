"""How the page looks and behaves, against the stub: what no real gateway can be made to say at will."""

import json
import re
import time

from chromium import Failure
from figures import enter
from stub import HOSTILE, ROOT, Stub

LIVE = "document.querySelector('[data-testid=connection]').dataset.value"


def focused(page):
    return page.run("document.activeElement.id || document.activeElement.dataset.testid || document.activeElement.tagName")


def rest(page):
    """Until nothing moves any more: two frames, and the charts drawn."""
    page.leave()
    page.until("document.querySelectorAll('.plot canvas').length === 6")
    page.run("document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300))))).then(() => 1)")


def check_names_of_clients_stay_text(browser, site, _):
    page = enter(browser, site)
    page.run("document.title = 'mine'")
    page.click("#exchanges tr[data-key*='-0003-'] button")
    page.until("document.querySelector('#detail').open")
    assert page.run("document.querySelector('[data-testid=detail-model]').textContent") == HOSTILE
    shown = page.run("[...document.querySelectorAll('td[data-col=model] span, th[data-col=key] span')].map((one) => one.textContent)")
    assert shown.count(HOSTILE) == 2, shown
    assert page.run("document.querySelectorAll('img, iframe, object, main script').length") == 0
    assert page.run("document.title") != "taken"
    yield page


def check_the_purge_asks_first(browser, site, shots):
    page = enter(browser, site)
    page.click("#purge")
    page.until("document.querySelector('#purge-dialog').open")
    assert focused(page) == "purge-cancel", "what does nothing has the focus"
    assert "812" in page.run("document.querySelector('#purge-effect').textContent")
    page.screenshot(shots / "purge.png", whole=False)
    page.key("Escape")
    page.until("!document.querySelector('#purge-dialog').open")
    page.click("#purge")
    page.click("#purge-cancel")
    page.until("!document.querySelector('#purge-dialog').open")
    assert site.stub.purges == [], site.stub.purges
    for choice in ("model", "caller", "tag"):
        page.click("#purge")
        page.click(f"[data-testid=purge-{choice}]")
        assert page.run("document.querySelector('#purge-go').disabled"), "nothing is named yet"
        page.click("#purge-name")
        page.write(f"a {choice}")
        page.click("#purge-go")
        page.until("!document.querySelector('#purge-dialog').open")
    page.click("#purge")
    page.click("#purge-go")
    page.until("!document.querySelector('#purge-dialog').open")
    assert site.stub.purges == [{"model": "a model"}, {"caller": "a caller"}, {"tag": "a tag"}, {"all": True}], site.stub.purges
    page.until("document.querySelector('[data-testid=\"cache.entries\"]').dataset.value === '0'")
    assert "797" in page.run("document.querySelector('#notice').textContent")
    yield page


def check_filters(browser, site, _):
    page = enter(browser, site)
    keys = "[...document.querySelectorAll('#exchanges tbody tr')].map((one) => one.dataset.key)"
    listed = site.stub.figures.exchanges
    last = listed[7]

    def holds(wanted):
        page.until(f"JSON.stringify({keys}) === {json.dumps(json.dumps(wanted, separators=(',', ':')))}", what=f"{len(wanted)} exchanges are listed")

    def set_to(name, value):
        page.run(f"(() => {{ const field = document.querySelector('#filters').elements[{json.dumps(name)}]; field.value = {json.dumps(value)}; field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()")

    cases = {
        "outcome": ("rejected", lambda one: one["outcome"] == "rejected"),
        "caller": ("김지수", lambda one: one["caller"] == "김지수"),
        "provider": ("azure", lambda one: one["provider"] == "azure" or any(attempt["provider"] == "azure" for attempt in one["attempts"])),
        "model": ("llama3.1", lambda one: "llama3.1" in (one["asked"], one["model"])),
        "q": (last["request_id"][:12], lambda one: one["request_id"].startswith(last["request_id"][:12])),
    }
    for name, (value, passes) in cases.items():
        set_to(name, value)
        holds([one["id"] for one in listed if passes(one)])
        # What comes live is let through by the same rule.
        page.leave()
        before = page.run(f"{keys}.length")
        for index, given in enumerate([one for one in listed if passes(one)][:1] + [one for one in listed if not passes(one)][:1]):
            copy = given | {"id": f"01935f2b-000{index}-7000-8000-{len(name):012x}"}
            site.stub.emit("exchange", copy)
        page.until(f"{keys}.length === {before + 1}")
        page.click("[data-testid=filter-clear]")
        holds([one["id"] for one in listed])
    set_to("model", "no such model")
    holds([])
    assert not page.run("document.querySelector('#no-exchanges').hidden")
    yield page


def check_it_goes_on_living(browser, site, _):
    page = enter(browser, site)
    new = site.stub.figures.exchange(1, id="01935f2b-0001-7000-8000-000000000001")
    first = "document.querySelector('#exchanges tbody tr')?.dataset.key"
    site.stub.emit("exchange", new)
    page.until(f"{first} === {json.dumps(new['id'])}")
    site.stub.emit("missed", {"count": 12_345})
    page.until("/12.345/.test(document.querySelector('#notice').textContent)")
    # A stream that is refused: the page asks instead, and comes back by itself.
    site.stub.drop_followers()
    page.until(f"{LIVE} === 'polling'")
    site.stub.refuse_events = False
    page.until(f"{LIVE} === 'live'", 20)
    site.stub.is_broken = True
    site.stub.drop_followers()
    page.until(f"{LIVE} === 'offline'")
    site.stub.is_broken = site.stub.refuse_events = False
    page.until(f"{LIVE} === 'live'", 30)
    yield page


def check_pausing_holds_everything(browser, site, _):
    page = enter(browser, site)
    page.click("#pause")
    page.until(f"{LIVE} === 'paused'")
    page.until("true")
    count = "document.querySelectorAll('#exchanges tbody tr').length"
    before = page.run(count)
    asked = len(page.events("Network.requestWillBeSent"))
    new = site.stub.figures.exchange(2, id="01935f2b-0002-7000-8000-000000000002")
    site.stub.figures.exchanges.insert(0, new)
    site.stub.emit("exchange", new)
    time.sleep(2.5)
    assert page.run(count) == before and len(page.events("Network.requestWillBeSent")) == asked
    page.click("#pause")
    page.until(f"{LIVE} === 'live'")
    page.until(f"document.querySelector('#exchanges tbody tr')?.dataset.key === {json.dumps(new['id'])}")
    yield page


def check_rows_do_not_move_under_the_pointer(browser, site, _):
    page = enter(browser, site)
    page.until("document.querySelector('#exchanges tbody tr')")
    page.run("document.querySelector('#exchanges tbody tr').scrollIntoView({ block: 'center' })")
    where = page.run("(({ x, y }) => ({ x, y }))(document.querySelector('#exchanges tbody td').getBoundingClientRect())")
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=where["x"] + 20, y=where["y"] + 8)
    first = page.run("document.querySelector('#exchanges tbody tr')?.dataset.key")
    new = site.stub.figures.exchange(6, id="01935f2b-0006-7000-8000-000000000006")
    site.stub.emit("exchange", new)
    page.until("!document.querySelector('#held').hidden")
    assert page.run("document.querySelector('#exchanges tbody tr')?.dataset.key") == first
    page.leave()
    page.until(f"document.querySelector('#exchanges tbody tr')?.dataset.key === {json.dumps(new['id'])}")
    yield page


def check_the_keyboard_is_enough(browser, site, _):
    page = enter(browser, site)
    page.key("Tab")
    assert page.run("document.activeElement.className") == "skip"
    assert page.run("document.activeElement.getBoundingClientRect().width > 50"), "the skip link shows itself"
    page.key("Enter")
    page.until("document.activeElement.id === 'main'")
    page.key("Tab")
    assert page.run("document.activeElement.name") == "range"
    outline = page.run("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle")
    assert outline == "solid", "the focus can be seen"
    page.key("ArrowRight")
    page.until("document.querySelector('#since').dataset.range === '24h'")
    # Charts: arrows move through time, the legend says where.
    page.run("document.querySelector('.plot').focus()")
    whole = page.run("document.querySelector('.chart .when').textContent")
    page.key("ArrowLeft")
    page.until(f"document.querySelector('.chart .when').textContent !== {json.dumps(whole)}")
    # An exchange: opened from its row, closed by Esc, and the focus is back where it was.
    page.run("document.querySelector('#exchanges tbody button').focus()")
    page.key("Enter")
    page.until("document.querySelector('#detail').open")
    assert focused(page) == "detail-title"
    page.key("Escape")
    page.until("!document.querySelector('#detail').open")
    assert page.run("document.activeElement === document.querySelector('#exchanges tbody button')")
    # Everything that can be clicked can be reached.
    wanted = {"pause", "language", "theme", "purge", "usage-by-0", "usage-by-1", "filter-outcome", "filter-q", "filter-clear"}
    for _ in range(300):
        page.key("Tab")
        wanted.discard(page.run("document.activeElement.dataset.testid"))
        if not wanted:
            break
    assert not wanted, f"not reached: {wanted}"
    yield page


def check_signing_in_and_out(browser, site, shots):
    stub = Stub(token="the-right-token")
    try:
        page = browser.page()
        page.open(stub.url + "/")
        page.until("!document.querySelector('#sign-in').hidden")
        assert page.run("document.querySelector('#main').hidden") and focused(page) == "token"
        page.screenshot(shots / "signin.png", whole=False)
        page.write("the wrong token")
        page.key("Enter")
        page.until("document.querySelector('#sign-in-error').textContent")
        assert page.run("document.querySelector('#main').hidden")
        page.run("document.querySelector('#token').value = ''")
        page.write("the-right-token")
        page.key("Enter")
        page.until(f"{LIVE} === 'live'")
        assert page.run("document.querySelector('#token').value") == "", "the token does not stay in the page"
        assert page.run("document.cookie") == "" and "token" not in page.run("JSON.stringify(localStorage)"), "nor where scripts can read it"
        # A session that has ended in the meantime: the form is there again, and everything goes on behind it.
        stub.has_forgotten = True
        stub.drop_followers()
        page.until("!document.querySelector('#sign-in').hidden && document.querySelector('#main').hidden")
        stub.has_forgotten = stub.refuse_events = False
        page.write("the-right-token")
        page.key("Enter")
        page.until(f"{LIVE} === 'live'")
        stub.is_broken = True
        page.click("#sign-out")
        page.until("/still signed in/.test(document.querySelector('#notice').textContent)")
        assert not page.run("document.querySelector('#main').hidden"), "who could not sign out is not told otherwise"
        stub.is_broken = False
        page.click("#sign-out")
        page.until("!document.querySelector('#sign-in').hidden && document.querySelector('#main').hidden")
        page.close()
    finally:
        stub.shutdown()
        stub.server_close()


def check_without_a_ledger_the_page_says_so(browser, site, _):
    site.stub.has_ledger = False
    page = enter(browser, site)
    assert "[ledger]" in page.run("document.querySelector('#no-ledger').textContent")
    assert page.run("document.querySelector('#usages').hidden")
    yield page


def check_both_themes(browser, site, shots):
    grounds = {}
    for scheme in ("light", "dark"):
        page = enter(browser, site, scheme=scheme)
        rest(page)
        grounds[scheme] = page.run("getComputedStyle(document.body).backgroundColor")
        page.screenshot(shots / f"{scheme}.png")
        yield page
    assert grounds["light"] != grounds["dark"]
    page = enter(browser, site, scheme="light")
    for wanted in ("light", "dark"):
        page.click("#theme")
        page.until(f"getComputedStyle(document.body).backgroundColor === {json.dumps(grounds[wanted])}")
    page.open(site.url + "/")
    assert page.run("getComputedStyle(document.body).backgroundColor") == grounds["dark"], "the choice is kept"
    yield page


def check_text_can_be_read(browser, site, _):
    """Contrast of 4.5 : 1 for text, 3 : 1 for what draws (WCAG 2.2, 1.4.3 and 1.4.11)."""
    script = """(() => {
        const probe = document.body.appendChild(document.createElement('i'));
        const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const light = (name) => {
            probe.style.color = `var(--${name})`;
            canvas.fillStyle = getComputedStyle(probe).color;
            canvas.fillRect(0, 0, 1, 1);
            const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        };
        const contrast = (one, other) => { const [low, high] = [light(one), light(other)].sort((a, b) => a - b); return (high + 0.05) / (low + 0.05); };
        const pairs = [];
        for (const ground of ['panel', 'paper', 'raised']) {
            for (const name of ['ink', 'dim', 'accent', 'bad', 'warn']) pairs.push([name, ground, contrast(name, ground), 4.5]);
            for (const name of ['ok', 'quiet', 'c1', 'c2', 'c3']) pairs.push([name, ground, contrast(name, ground), 3]);
        }
        pairs.push(['on-accent', 'accent', contrast('on-accent', 'accent'), 4.5]);
        probe.remove();
        return pairs;
    })()"""
    for scheme in ("light", "dark"):
        page = browser.page(scheme=scheme)
        page.open(site.url + "/")
        poor = [f"{scheme}: {name} on {ground} {value:.2f}" for name, ground, value, least in page.run(script) if value < least]
        assert not poor, poor
        yield page


def check_every_text_can_be_read_where_it_stands(browser, site, _):
    """The contrast of each text with what is painted behind it, as they are drawn."""
    script = """(() => {
        const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const paint = (colors) => {
            canvas.clearRect(0, 0, 1, 1);
            for (const color of colors) {
                canvas.fillStyle = color;
                canvas.fillRect(0, 0, 1, 1);
            }
            return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const light = (color) => {
            const linear = color.slice(0, 3).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        };
        const poor = new Set();
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        let seen = 0;
        while (texts.nextNode()) {
            const element = texts.currentNode.parentElement;
            if (!texts.currentNode.textContent.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.closest(':disabled, script, .unseen, .skip')) continue;
            seen += 1;
            const behind = [];
            for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
            const [low, high] = [light(paint(behind)), light(paint([...behind, getComputedStyle(element).color]))].sort((a, b) => a - b);
            const contrast = (high + 0.05) / (low + 0.05);
            if (contrast < 4.5) poor.add(`${element.tagName}.${element.className} in ${element.closest('[id]')?.id}: ${contrast.toFixed(2)} ${element.textContent.slice(0, 20)}`);
        }
        return { seen, poor: [...poor] };
    })()"""
    for scheme in ("light", "dark"):
        page = enter(browser, site, scheme=scheme)
        page.click("#exchanges tr[data-key*='-0005-'] button")
        page.until("document.querySelector('#detail').open")
        page.run("document.querySelector('#purge-dialog').show()")
        read = page.run(script)
        assert read["seen"] > 300, read
        assert not read["poor"], f"{scheme}: {read['poor']}"
        yield page


def check_what_scrolls_can_be_reached(browser, site, _):
    """Each part that scrolls on its own takes the focus, and everything that does has a name."""
    page = enter(browser, site, width=900)
    stuck = page.run("""[...document.querySelectorAll('main *')].filter((one) => one.scrollWidth > one.clientWidth + 1
        && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX) && one.tabIndex < 0).map((one) => one.id || one.className)""")
    assert not stuck, stuck
    page.click("#purge")
    nameless = page.run("""[...document.querySelectorAll('button, input, select, [tabindex="0"], dialog')].filter((one) =>
        !(one.textContent.trim() && one.matches('button')) && !one.ariaLabel && !one.labels?.length && one.checkVisibility()
        && !document.getElementById(one.getAttribute('aria-labelledby'))).map((one) => one.outerHTML.slice(0, 80))""")
    assert not nameless, nameless
    yield page


def check_a_phone_needs_no_sideways_scrolling(browser, site, shots):
    for width in (360, 320):
        page = enter(browser, site, width=width, height=780)
        rest(page)
        assert page.run("document.documentElement.scrollWidth") <= width
        if width == 360:
            page.screenshot(shots / "phone.png")
        page.click("#exchanges tbody button")
        page.until("document.querySelector('#detail').open")
        assert page.run("document.querySelector('#detail').scrollWidth") <= width
        small = page.run("[...document.querySelectorAll('.bar button, .segments label, #purge')].filter((one) => one.offsetParent && one.getBoundingClientRect().height < 24).length")
        assert small == 0, "what is tapped is large enough (WCAG 2.2, 2.5.8)"
        yield page


def check_a_wide_screen_and_the_detail(browser, site, shots):
    page = enter(browser, site)
    rest(page)
    page.click("#exchanges tr[data-key*='-0004-'] button")
    page.until("document.querySelector('#detail').open")
    page.leave()
    page.screenshot(shots / "detail.png", whole=False)
    yield page


def check_korean(browser, site, shots):
    page = enter(browser, site, language="ko-KR")
    assert page.run("document.documentElement.lang") == "ko"
    assert page.run("document.querySelector('#title-pipeline').textContent") == "파이프라인"
    rest(page)
    page.screenshot(shots / "korean.png")
    page.click("#language")
    page.until("document.documentElement.lang === 'en' && document.querySelector('#title-pipeline').textContent === 'Pipeline'")
    page.until("document.querySelectorAll('#exchanges tbody tr').length > 10 && document.querySelector('[data-testid=\"tile.rate\"]').dataset.value")
    page.open(site.url + "/")
    page.until("document.documentElement.lang === 'en'", what="the choice is kept")
    yield page


def check_both_languages_say_everything(browser, site, _):
    text = (ROOT / "src/admin/page/text.js").read_text()
    tables = {name: dict(re.findall(r"(\w+): '((?:[^'\\]|\\.)*)'", re.search(rf"const {name} = \{{(.*?)\n\}};", text, re.S)[1])) for name in ("en", "ko")}
    assert len(tables["en"]) > 150 and tables["en"].keys() == tables["ko"].keys(), tables["en"].keys() ^ tables["ko"].keys()
    gaps = {name: [set(re.findall(r"\{\w+\}", table[name])) for table in tables.values()] for name in tables["en"]}
    wrong = [name for name, (one, other) in gaps.items() if one != other]
    assert not wrong, wrong
    sources = "".join(file.read_text() for file in (ROOT / "src/admin/page").glob("*.[jh][st]*") if file.name != "text.js")
    named = set(re.findall(r"\bt\('(\w+)'", sources)) | set(re.findall(r'data-t="(\w+)"', sources)) | set(re.findall(r"(?:title|hint): '(\w+)'", sources))
    assert named <= tables["en"].keys(), named - tables["en"].keys()


def check_who_wants_no_motion_gets_none(browser, site, _):
    page = enter(browser, site, motion="reduce")
    running = page.run("document.getAnimations().length")
    if running:
        raise Failure(f"{running} animations run")
    yield page

"""Chromium without a window, driven over a pipe by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).

Standard library only: `--remote-debugging-pipe` takes JSON with a zero byte behind each message, so that there is no socket
to guard and no package to pin.
"""

import base64
import fcntl
import json
import os
import pathlib
import select
import subprocess
import tempfile
import time

# Seconds for one answer; a machine that compiles at the same time is slow to start a browser.
PATIENCE = 60


class Failure(Exception):
    """What was waited for has not come, or a script of the page has thrown."""


class Chromium:
    """A browser of its own, with a profile that is thrown away. To be used by `with`."""

    def __init__(self, executable, arguments=()):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self.input = os.pipe()
        self.output, from_browser = os.pipe()
        # The browser reads 3 and writes 4; from where they lie now, neither can overwrite the other.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (to_browser, from_browser)]

        def take():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        command = [executable, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}", "--no-first-run", "--no-default-browser-check",
                   "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                   "--force-color-profile=srgb", *(["--no-sandbox"] if os.geteuid() == 0 else []), *arguments, "about:blank"]
        bare = {key: os.environ[key] for key in ("PATH", "TMPDIR") if key in os.environ}
        self.process = subprocess.Popen(command, preexec_fn=take, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=bare | {"HOME": self.profile.name, "LANG": "C.UTF-8"})
        for end in (to_browser, from_browser, *high):
            os.close(end)
        self.buffer, self.counter, self.heard = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close")
            self.process.wait(timeout=10)
        except (OSError, Failure, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.input)
        os.close(self.output)
        self.profile.cleanup()

    def _receive(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.output], [], [], max(deadline - time.monotonic(), 0))
            piece = os.read(self.output, 1 << 20) if ready else b""
            if not piece:
                raise Failure("the browser does not answer" if ready else "the browser takes too long")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, session=None, **parameters):
        """Calls a method of the protocol and returns its result; events that come meanwhile are kept in `heard`."""
        self.counter += 1
        message = {"id": self.counter, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.input, data):]
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise Failure(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self.heard.append(answer)

    def page(self, **options):
        return Page(self, **options)


class Page:
    """A tab with a cookie jar and connections of its own, or with those of another tab, `beside` which it opens."""

    def __init__(self, browser, width=1440, height=900, scheme="light", language="en-US", motion="no-preference", beside=None):
        self.browser = browser
        self.context = beside.context if beside else browser.send("Target.createBrowserContext")["browserContextId"]
        self.target = browser.send("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.send("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}])
        agent = browser.send("Browser.getVersion")["userAgent"]
        self.send("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        self.send("Emulation.setLocaleOverride", locale=language)
        # What a policy forbids, the page itself is told; and what it was answered is kept, to be held against what it shows.
        self.send("Page.addScriptToEvaluateOnNewDocument", source="""
            window.violations = [];
            window.received = {};
            const ask = window.fetch;
            window.fetch = async (path, ...more) => {
                const answer = await ask(path, ...more);
                if (answer.ok && answer.status === 200) answer.clone().json().then((document) => (window.received[path] = document), () => {});
                return answer;
            };
            document.addEventListener('securitypolicyviolation', (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));""")

    def send(self, method, **parameters):
        return self.browser.send(method, session=self.session, **parameters)

    def close(self):
        self.browser.send("Target.disposeBrowserContext", browserContextId=self.context)

    def show(self):
        """Brings the tab to the front; the others of its window are hidden then."""
        self.browser.send("Target.activateTarget", targetId=self.target)

    def open(self, url):
        self.send("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script):
        """The value of an expression in the page; promises are waited for."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise Failure(f"{script}: {details.get('exception', {}).get('description', details['text'])}")
        return result["result"].get("value")

    def until(self, script, patience=20, what=None):
        """Waits until an expression holds, and returns its value."""
        deadline = time.monotonic() + patience
        while True:
            value = self.run(script)
            if value not in (None, False, 0, ""):
                return value
            if time.monotonic() > deadline:
                raise Failure(f"not within {patience} s: {what or script}")
            time.sleep(0.05)

    def key(self, key, code=None, text=None, modifiers=0):
        virtual = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}.get(key, 0)
        common = {"key": key, "code": code or ("Space" if key == " " else key), "windowsVirtualKeyCode": virtual, "modifiers": modifiers}
        text = text or {"Enter": "\r", " ": " "}.get(key)
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **common, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text):
        self.send("Input.insertText", text=text)

    def click(self, selector):
        """Clicks with the mouse in the middle of an element."""
        where = self.until(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            if (!element) return null;
            element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
            const box = element.getBoundingClientRect();
            return box.width && box.height ? {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }} : null;
        }})()""", what=f"{selector} is there to click on")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=where["x"], y=where["y"], button="none" if kind == "mouseMoved" else "left", clickCount=int(kind != "mouseMoved"))

    def leave(self):
        """Takes the mouse away."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1, button="none")

    def screenshot(self, path, whole=True):
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

    def events(self, method):
        """What the browser has told of this page by this event."""
        self.run("0")
        return [heard["params"] for heard in self.browser.heard if heard.get("sessionId") == self.session and heard["method"] == method]

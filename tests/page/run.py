#!/usr/bin/env python3
"""Looks at the dashboard in a real browser: Chromium, without a window.

    tests/page/run.py [--chromium FILE] [--screenshots FOLDER] [--gateway MILLGATE] [--only WORD]

Without --gateway the page talks to a stub of the admin API (stub.py); with it the same page is looked at as MILLGATE serves it,
behind a mock upstream and with traffic of every kind, as well. Screenshots are for people to look at; they land in
$CARGO_TARGET_DIR/page-screenshots unless told otherwise. Standard library only. Exit code: 0 if every check passed.
"""

import argparse
import os
import pathlib
import shutil
import sys
import time
import traceback
from contextlib import ExitStack

import figures
import looks
import turns
from chromium import Chromium, Failure
from stub import ROOT, Stub

TOKEN = "a-token-of-the-page-tests"


def clean(page, url):
    """What must never be, whatever has been done on a page."""
    assert page.run("window.violations") == [], page.run("window.violations")
    thrown = [event["exceptionDetails"]["text"] for event in page.events("Runtime.exceptionThrown")]
    assert not thrown, f"the page has thrown: {thrown}"
    written = [event["args"] for event in page.events("Runtime.consoleAPICalled") if event["type"] in ("error", "warning", "assert")]
    assert not written, f"the console has errors: {written}"
    # A reply that the gateway refuses on purpose is noted by the browser as well; those are looked at one by one.
    logged = [event["entry"] for event in page.events("Log.entryAdded") if event["entry"]["level"] in ("error", "warning") and event["entry"]["source"] != "network"]
    assert not logged, f"the browser has complained: {logged}"
    asked = {event["request"]["url"] for event in page.events("Network.requestWillBeSent")}
    elsewhere = [one for one in asked if not one.startswith((url + "/", "data:", "about:"))]
    assert not elsewhere, f"asked of elsewhere: {elsewhere}"


class Site:
    """Where the page is looked at, and what is known of it."""

    def __init__(self, url, token=None, stub=None, gateway=None):
        self.url, self.token, self.stub, self.gateway = url, token, stub, gateway


def checks_of(module):
    return [value for name, value in vars(module).items() if name.startswith("check_")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"), help="the browser (default: the one in PATH)")
    parser.add_argument("--screenshots", type=pathlib.Path, default=pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "page-screenshots")
    parser.add_argument("--gateway", type=pathlib.Path, help="a millgate binary to look at as well")
    parser.add_argument("--only", default="", help="the checks with this in their name")
    arguments = parser.parse_args()
    if not arguments.chromium:
        parser.error("there is no Chromium: install it, or name it by --chromium")
    arguments.screenshots.mkdir(parents=True, exist_ok=True)

    began, failed, passed = time.monotonic(), [], 0
    with ExitStack() as stack:
        browser = stack.enter_context(Chromium(arguments.chromium))
        sites = [("stub", lambda: Site((stub := Stub()).url, stub=stub), checks_of(figures) + checks_of(looks) + checks_of(turns))]
        if arguments.gateway:
            import gateway
            real = gateway.start(stack, arguments.gateway.resolve(), TOKEN)
            sites.append(("gateway", lambda: Site(real.url, TOKEN, gateway=real), checks_of(figures) + checks_of(gateway)))
        for name, make, checks in sites:
            for check in checks:
                title = f"{name}: {check.__name__.removeprefix('check_').replace('_', ' ')}"
                if arguments.only not in title:
                    continue
                site = make()
                try:
                    for page in check(browser, site, arguments.screenshots) or ():
                        clean(page, site.url)
                        page.close()
                except (AssertionError, Failure, OSError) as error:
                    failed.append(title)
                    print(f"FAILED  {title}\n{''.join(traceback.format_exception(error))}", flush=True)
                else:
                    passed += 1
                    print(f"ok      {title}", flush=True)
                finally:
                    if site.stub:
                        site.stub.shutdown()
                        site.stub.server_close()
    print(f"Page: {passed} checks passed, {len(failed)} failed, in {time.monotonic() - began:.1f} s; screenshots in {arguments.screenshots}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

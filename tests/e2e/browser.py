"""Chromium, headless, driven by the DevTools protocol over a pipe: no port, no driver program.

    with browser.Browser() as chromium:
        page = chromium.open(path)
        page.wait_for("document.documentElement.dataset.ready")
        assert page.text("#verdict") == "Passed"

Only what the tests of reports need. Tests and tests/report-demo import this module.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SECONDS = 120  # for anything; a browser on a busy machine takes its time


class Browser:
    """The browser, in a `with` block. size: width and height of its window."""

    def __init__(self, size=(1280, 800)):
        self.size, self.process, self.last, self.events = size, None, 0, []

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="chromium-")
        to_browser, self.to = os.pipe()
        self.back, from_browser = os.pipe()
        self.pending = b""
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-extensions", "--disable-background-networking", "--force-color-profile=srgb", "--hide-scrollbars",
                   f"--user-data-dir={self.directory}", "--remote-debugging-pipe", f"--window-size={self.size[0]},{self.size[1]}",
                   "about:blank"]
        env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}

        # The browser reads from descriptor 3 and writes to 4.
        def place():
            first, second = os.dup(to_browser), os.dup(from_browser)
            high = [os.dup2(fd, number) for fd, number in ((first, 60), (second, 61))]
            for fd, number in zip(high, (3, 4)):
                os.dup2(fd, number, inheritable=True)

        self.process = subprocess.Popen(
            command, preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(f"{self.directory}/log", "wb"), env={**env, "HOME": self.directory})
        os.close(to_browser)
        os.close(from_browser)
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        except (OSError, AssertionError):
            pass
        os.close(self.to)
        os.close(self.back)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # Its helpers become children of the process that does the tests, and runs after it must find none.
        end = time.monotonic() + 20
        while self._helpers() and time.monotonic() < end:
            time.sleep(0.02)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _helpers(self):
        """The browser's processes that are still there. Those that have ended are reaped."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                command = Path(f"/proc/{entry}/cmdline").read_bytes()
                state, parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z" and int(parent) == os.getpid() and "chrom" in Path(f"/proc/{entry}/comm").read_text():
                    os.waitpid(int(entry), os.WNOHANG)
                elif self.directory.encode() in command:
                    found.append(int(entry))
            except (OSError, ValueError):
                pass
        return found

    # ---- the protocol

    def _read(self, end):
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.back], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            piece = os.read(self.back, 1 << 20)
            assert piece, "the browser has ended: " + Path(self.directory, "log").read_text(errors="replace")[-2000:]
            self.pending += piece
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        """Calls a method of the protocol and returns its result; events that come meanwhile go to `events`."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + SECONDS
        while True:
            answer = self._read(end)
            if answer.get("id") == self.last:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def open(self, path, dark=False, scripts=True, requests=None):
        """Opens a file in a new tab and returns its Page. scripts: whether JavaScript runs."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target, scripts)
        for domain in "Page", "Runtime", "Network", "Log":
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=self.size[0], height=self.size[1], deviceScaleFactor=1, mobile=False)
        page.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        page.theme("dark" if dark else "light")
        self.events.clear()
        page.call("Page.navigate", url=Path(path).resolve().as_uri())
        if scripts:
            page.wait_for("document.readyState === 'complete'")
        return page


class Page:
    """A tab with a page."""

    def __init__(self, browser, session, target, scripts):
        self.browser, self.session, self.target, self.scripts = browser, session, target, scripts

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def theme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def value(self, expression):
        """The value of an expression in the page; of a promise what it becomes."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def wait_for(self, expression):
        end = time.monotonic() + SECONDS
        while not (value := self.value(expression)):
            assert time.monotonic() < end, f"{expression} does not come true"
            time.sleep(0.02)
        return value

    def text(self, selector):
        """The text of the first element, None without one."""
        return self.value(f"document.querySelector({json.dumps(selector)})?.textContent")

    def texts(self, selector):
        return self.value(f"[...document.querySelectorAll({json.dumps(selector)})].map(element => element.textContent)")

    def type(self, selector, text):
        """Puts a text into a field, as typing does."""
        self.value(f"""(() => {{
            const field = document.querySelector({json.dumps(selector)});
            field.focus();
            field.value = {json.dumps(text)};
            field.dispatchEvent(new Event("input", {{ bubbles: true }}));
            field.dispatchEvent(new Event("change", {{ bubbles: true }}));
        }})()""")

    def click(self, selector, nth=0):
        """Clicks into the middle of an element by the mouse."""
        x, y = self.value(f"""(() => {{
            const element = document.querySelectorAll({json.dumps(selector)})[{nth}];
            element.scrollIntoView({{ block: "nearest" }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def key(self, key, code=None):
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, code=code or key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code or key)

    def picture(self, path):
        """Writes a picture of what the window shows, as PNG."""
        if self.scripts:
            self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        data = self.call("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def complaints(self):
        """What the page has complained about since it was opened: errors, violations of its policy, and requests."""
        found = []
        for event in self.browser.events:
            kind, told = event.get("method"), event.get("params", {})
            if kind in ("Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(told)
            elif kind == "Network.requestWillBeSent" and not told["request"]["url"].startswith(("file:", "data:", "blob:")):
                found.append(told["request"]["url"])
        return found

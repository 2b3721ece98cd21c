"""A headless Chromium, driven by its DevTools protocol."""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def executable() -> str | None:
    """The path of Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One connection, which all tabs share."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}

    async def listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message)
            if "id" in said:
                future = self._waiting.pop(said["id"])
                if not future.done():
                    future.set_result(said)
            elif listener := self._listeners.get(said.get("sessionId", "")):
                listener(said["method"], said["params"])

    async def call(self, method: str, session: str = "", **params: Any) -> Any:
        number = next(self._numbers)
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        await self._socket.send(json.dumps(message))
        answer = await asyncio.wait_for(future, 60)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    async def tab(self) -> "Tab":
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        tab = Tab(self, attached["sessionId"])
        self._listeners[tab.session] = tab.heard
        for domain in ("Page", "Network", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        return tab


class Tab:
    """A tab: what went wrong on the page that it shows, and scripts on it."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session
        self.errors: list[str] = []
        self.host = ""
        self._urls: dict[str, str] = {}
        self._loaded = asyncio.Event()

    async def call(self, method: str, **params: Any) -> Any:
        return await self.browser.call(method, self.session, **params)

    def heard(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            self._urls[params["requestId"]] = url
            if not url.startswith((self.host, "data:", "blob:", "about:")):
                self.errors.append(f"asks another site for {url}")
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            url = self._urls.get(params["requestId"], "?")
            self.errors.append(f"request failed: {url} {params['errorText']}")
        elif method == "Network.responseReceived":
            status = params["response"]["status"]
            if status >= 400:
                self.errors.append(f"status {status}: {params['response']['url']}")
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            said = details.get("exception", {}).get("description", details["text"])
            self.errors.append(f"script: {said}")
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            said = " ".join(str(a.get("value", "")) for a in params["args"])
            self.errors.append(f"console: {said}")
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"console: {params['entry']['text']}")

    async def size(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def open(self, url: str) -> None:
        self._loaded.clear()
        self._urls.clear()
        self.errors = []
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 60)

    async def run(self, script: str) -> Any:
        """The value of an expression, or what its promise gives."""
        answer = await self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")


@contextlib.asynccontextmanager
async def browser(path: str) -> AsyncIterator[Browser]:
    """Chromium, ended when the block is left."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            path,
            *FLAGS,
            f"--user-data-dir={profile}",
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            address = await asyncio.wait_for(_address(process), 30)
            async with connect(address, max_size=None) as socket:
                made = Browser(socket)
                listening = asyncio.create_task(made.listen())
                drained = asyncio.create_task(_drain(process))
                try:
                    yield made
                finally:
                    listening.cancel()
                    drained.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _address(process: Any) -> str:
    async for line in process.stderr:
        if match := re.search(r"DevTools listening on (ws://\S+)", line.decode()):
            return match[1]
    raise RuntimeError("Chromium ended before it could be spoken to.")


async def _drain(process: Any) -> None:
    async for _ in process.stderr:
        pass

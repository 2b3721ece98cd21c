"""Opens the playground in a browser: `python -m docs.check_playground [PAGE.html]`.

The JavaScript of every optimizer is compared with adamx in float64, step by step, with
the hyperparameters of the start and with others. Then the page itself, at the width of
a desk and of a phone, in light and dark: no error in the console, nothing loaded,
nothing wider than the phone, the keyboard, and a link that holds the setting.

Without a path the page is made anew.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamx import __version__
from adamx.playground import page, surfaces, twins
from docs import browser

WIDTHS = ((1280, 900), (390, 844))
SURFACE = "saddle"
SETTING = {"start": [-1.0, 1.5], "steps": 60, "noise": 0.1, "seed": 3}
TOLERANCE = 1e-6

WALK = """(({name, values, surface, setting}) => {
  const { walk, TWINS, SURFACES } = playground;
  return walk(SURFACES[surface], TWINS[name], values, setting).points;
})"""

NOISE = """(({surface, setting}) =>
  playground.disturbances(playground.SURFACES[surface], setting).map((d) => d.noise)
)"""

FOCUSED = "a, button, input, select, summary, [tabindex]"
STOPS = f"document.querySelectorAll('{FOCUSED}').length"

NEAR_MIDDLE = """(({ surface, start }) => {
  const { x, y } = playground.SURFACES[surface];
  const off = [x, y].map(([low, high], i) => (start[i] - low) / (high - low) - 0.5);
  return off.every((share) => Math.abs(share) < 0.02);
})(playground.setting())"""

UNLABELLED = """[...document.querySelectorAll('input, select, button, canvas')]
  .filter((n) => !(n.labels?.length || n.ariaLabel || n.textContent.trim()))
  .filter((n) => n.ariaHidden !== 'true').map((n) => n.outerHTML)"""


def others(values: dict[str, float]) -> dict[str, float]:
    """Other hyperparameters, all of them: what is in [0, 1] stays there."""

    def other(x: float) -> float:
        if x in (0, 1):
            return abs(x - 1e-3)
        return 1 - 1.5 * (1 - x) if 0.5 <= x < 1 else 1.3 * x

    return {name: other(x) for name, x in values.items()}


def followed(tx: Any, loss: Any, noise: np.ndarray, start: Any) -> np.ndarray:
    """The points of adamx's own steps, with the noise added to the gradients."""
    slope = jax.grad(loss)
    curved = jax.hessian(loss)

    def step(carried: Any, added: Any) -> Any:
        p, state = carried
        given = {"hessian": jnp.diagonal(curved(p))}
        update, state = tx.update(slope(p) + added, state, p, **given)
        return (p + update, state), p + update

    p = jnp.array(start, jnp.float64)
    _, points = jax.jit(lambda p, s: jax.lax.scan(step, (p, s), noise))(p, tx.init(p))
    return np.concatenate([p[None], points])


async def compared(tab: browser.Tab) -> list[str]:
    """What differs between the page and adamx, as sentences."""
    wrong = []
    given = {"surface": SURFACE, "setting": SETTING}
    noise = np.array(await tab.run(f"{NOISE}({json.dumps(given)})"))
    loss = surfaces.SURFACES[SURFACE].loss
    for name, twin in page.twins().items():
        kept = twin.hyperparameters
        for which, values in (("the first", kept), ("other", others(kept))):
            tx = twins.changed(twin.transformation, values)
            points = followed(tx, loss, noise, SETTING["start"])
            asked = given | {"name": name, "values": list(values.values())}
            walked = np.array(await tab.run(f"{WALK}({json.dumps(asked)})"))
            if walked.shape != points.shape:
                wrong.append(f"{name} stops after {len(walked) - 1} steps ({which})")
                continue
            apart = np.abs(walked - points) / np.maximum(1, np.abs(points))
            if not apart.max() <= TOLERANCE:
                wrong.append(
                    f"{name} with {which} hyperparameters must be within {TOLERANCE} "
                    f"of adamx, and is {apart.max():.1e} from it"
                )
    return wrong


async def pressed(tab: browser.Tab, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        await tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)


async def used(tab: browser.Tab, address: str) -> list[str]:
    """What is wrong with the page when it is used, as sentences."""
    wrong = []

    async def expect(script: str, wanted: Any, what: str) -> None:
        found = await tab.run(script)
        if found != wanted:
            wrong.append(f"{what} must be {wanted!r}, and is {found!r}")

    async def drawn() -> None:
        frames = "requestAnimationFrame(() => requestAnimationFrame(done))"
        await tab.run(f"new Promise((done) => {frames})")

    for theme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        await tab.call("Emulation.setEmulatedMedia", features=[feature])
        for width, height in WIDTHS:
            await tab.size(width, height)
            await tab.open(address)
            await drawn()
            wide = "document.documentElement.scrollWidth"
            await expect(wide, width, f"{theme}, {width} px: the width of the page")
            await tab.run(
                "document.querySelectorAll('details').forEach(d => d.open = 1)"
            )
            await expect(wide, width, f"{theme}, {width} px, opened: the width")
            await expect(UNLABELLED, [], "what has no label")
    await tab.run("document.getElementById('map').focus()")
    before = await tab.run("playground.setting().start")
    await pressed(tab, "ArrowRight")
    await drawn()
    after = await tab.run("playground.setting().start")
    if not (after[0] > before[0] and after[1] == before[1]):
        wrong.append(f"the arrow key must move the start from {before}, gives {after}")
    await tab.size(*WIDTHS[0])
    box = await tab.run(
        "document.getElementById('map').getBoundingClientRect().toJSON()"
    )
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for kind in ("mousePressed", "mouseReleased"):
        given = {"type": kind, "button": "left", "clickCount": 1}
        await tab.call("Input.dispatchMouseEvent", **given, **middle)
    await drawn()
    await expect(NEAR_MIDDLE, True, "a start near the middle of the surface, clicked")
    await tab.run("document.getElementById('play').click()")
    await asyncio.sleep(1)
    frame = await tab.run("document.getElementById('frame').valueAsNumber")
    if not 0 < frame < await tab.run("playground.setting().steps"):
        wrong.append(
            f"after a second of Play a step between must be shown, got {frame}"
        )
    await tab.open("about:blank")  # so that Tab begins at the beginning
    await tab.open(address)
    reached = set()
    stops = await tab.run(STOPS)
    for _ in range(stops + 1):
        await pressed(tab, "Tab")
        reached.add(await tab.run("document.activeElement.id"))
    missed = {"surface", "x", "map", "play", "frame", "noise", "copy"} - reached
    if missed:
        wrong.append(f"Tab must reach every control, and misses {sorted(missed)}")
    link = "#s=beale&x=1&y=1.5&steps=50&noise=0.5&seed=7&o=adam;b1=0.5&o=lion"
    await tab.open("about:blank")
    await tab.open(address + link)
    await expect(
        "playground.toLink(playground.setting())", link, "the setting of a link"
    )
    await expect("location.hash", link, "the link of a setting")
    shown = "[...document.querySelectorAll('#table th')].map(n => n.innerText.slice(2))"
    await expect(shown, ["adam", "lion"], "the rows of the table")
    await expect("document.getElementById('adam-b1').value", "0.5", "b1 of Adam")
    await tab.run(
        "(() => { const b1 = document.getElementById('adam-b1'); b1.value = 2;"
        "b1.dispatchEvent(new Event('change')); })()"
    )
    said = "document.getElementById('said').textContent"
    await expect(said, "b1 of adam must lie in [0, 1), not 2.", "the refusal of b1 = 2")
    await expect("document.getElementById('adam-b1').value", "0.5", "b1 of Adam then")
    await tab.open("about:blank")
    await tab.open(f"{address}#s=moon&steps=-1&o=muon&o=adam;b7=1;b1=2&q=1")
    said = await tab.run("document.getElementById('said').textContent")
    for word in ("moon", "steps", "muon", "b7", "“q”", "b1 of adam must lie in [0, 1)"):
        if word not in said:
            wrong.append(f"what the page says of a bad link must name {word}: {said!r}")
    return wrong + tab.errors


async def checked(chromium: str, path: Path) -> list[str]:
    async with browser.browser(chromium) as made:
        tab = await made.tab()
        tab.host = address = path.resolve().as_uri()
        await tab.open(address)
        return [*tab.errors, *await compared(tab), *await used(tab, address)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m docs.check_playground")
    parser.add_argument("page", type=Path, nargs="?", help="the page as it was written")
    path = parser.parse_args(arguments).page
    chromium = browser.executable()
    if chromium is None:
        print(f"check_playground: none of {', '.join(browser.NAMES)} is installed.")
        return 2
    jax.config.update("jax_enable_x64", True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "playground.html"
            path.write_text(page.page(__version__), "utf-8")
        wrong = asyncio.run(checked(chromium, path))
    for sentence in wrong:
        print(f"check_playground: {sentence}")
    took = time.perf_counter() - began
    count = len(page.twins())
    print(f"check_playground: {count} optimizers, {len(wrong)} faults, {took:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The decision guide in a browser: from the click on an answer to the strip that shows its effect.

Prints numbers, asserts none. Run it by `make bench`, on a machine that does nothing else.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' platform

from playwright.sync_api import Page, sync_playwright

from tests.browser.served import CHROMIUM, FLAGS, served, state_folder

CLICKS, TARGET_MS = 60, 100
CLICK = """
place => new Promise((resolve) => {
  const options = document.querySelectorAll('[name="choice.consumers"]');
  const strip = document.getElementById("strip");
  const start = performance.now();
  new MutationObserver((_, watch) => {
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
  }).observe(strip, { childList: true, subtree: true });
  options[place % 4].click();
})
"""
"""Milliseconds until the first frame with the new strip is on the screen."""


def times(page: Page) -> list[float]:
    page.evaluate(CLICK, 3)  # the first one warms up
    return sorted(page.evaluate(CLICK, place) for place in range(CLICKS))


def main() -> None:
    if CHROMIUM is None:
        print("no chromium on PATH: not measured")
        return
    with state_folder() as folder, served(folder) as platform, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS).new_page()
        page.goto(f"{platform.address}/guide")
        page.get_by_role("button", name="Quick pass").click()
        page.locator("#strip").wait_for()
        found = times(page)
        p95 = found[CLICKS * 95 // 100 - 1]
        print(f"click to strip, ms (target {TARGET_MS}): median {statistics.median(found):.0f}")
        print(f"  p95 {p95:.0f}  worst {found[-1]:.0f}")
        page.context.browser.close()


if __name__ == "__main__":
    main()

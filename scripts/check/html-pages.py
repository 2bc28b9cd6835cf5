#!/usr/bin/env python3
"""Opens pages written by `ckpt diff --html` in headless Chromium and looks for problems of a reader; exits with 1 if a
check fails.

Usage: scripts/check/html-pages.py PAGE.html… [--pictures FOLDER]

Each page is opened in light and dark, 1280 and 390 pixels wide. There must be no message on the console, no network
request, nothing wider than the window, a contrast of at least 4.5 between every text and its background, a text
alternative for every drawing, and no gap in the levels of headings. Charts must react to pointer and keyboard, the
histogram's slider must change it, and table headings must sort. Without JavaScript all sections must be there, and no
control without effect.
--pictures keeps a screenshot of each. Needs PyPI's playwright and Chromium (tested with playwright 1.65.2 and the
Chromium of Debian 12).
"""

import argparse
import pathlib
import shutil
import sys

from playwright.sync_api import sync_playwright

failures = []


def check(place, name, holds, detail=""):
    if not holds:
        failures.append(name)
        print(f"FAIL {place}: {name} {detail}")


# Every visible text with too little contrast to its background (WCAG 2, relative luminance).
CONTRAST = """() => {
  const channel = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
  const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || ['SCRIPT', 'STYLE', 'TITLE', 'title'].includes(element.tagName)) continue;
    if (!element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const front = luminance(parse(element instanceof SVGElement ? style.fill : style.color));
    const back = luminance(ground(element));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) found.push(walker.currentNode.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(1));
  }
  return found;
}"""


def examine(page, place):
    check(place, "fits the window", page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    low = page.evaluate(CONTRAST)
    check(place, "contrast of texts", not low, low[:3])
    check(
        place, "drawings have text alternatives",
        page.evaluate("[...document.querySelectorAll('svg:not([aria-hidden])')].every(s => s.getAttribute('aria-label'))"),
    )
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    gaps = [b for a, b in zip(levels, levels[1:]) if b > a + 1]
    check(place, "one h1 and no gap in headings", levels.count(1) == 1 and levels[0] == 1 and not gaps, levels)


def interact(page, place):
    chart = page.query_selector("figure[data-chart=line] svg")
    if chart:
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tip = page.locator("#tip")
        check(place, "hover shows values", tip.is_visible() and tip.inner_text().startswith("step "))
        page.mouse.move(2, 2)
        check(place, "values disappear when the pointer leaves", tip.is_hidden())
        chart.focus()
        page.keyboard.press("ArrowRight")
        first = tip.inner_text()
        page.keyboard.press("ArrowRight")
        check(place, "arrow keys step through the values", tip.is_visible() and tip.inner_text() != first)
        page.evaluate("document.activeElement.blur()")
    slider = page.query_selector("figure[data-chart=histogram] input")
    if slider:
        read = "document.querySelector('figure[data-chart=histogram] output').textContent"
        before = page.evaluate(read)
        slider.focus()
        page.keyboard.press("Home")
        check(place, "the slider changes the histogram", page.evaluate(read) != before)
    table = page.query_selector("table.sortable")
    if table:
        column = "[...document.querySelectorAll('table.sortable')][0].tBodies[0].rows"
        page.locator("table.sortable").first.locator("th button").nth(2).click()
        values = page.evaluate(f"[...{column}].map(r => +r.cells[2].dataset.value)")
        check(place, "headings sort tables", values == sorted(values, reverse=True))
        check(
            place, "sorted headings have aria-sort",
            page.evaluate("document.querySelector('table.sortable th:nth-child(3)').getAttribute('aria-sort')") == "descending",
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path)
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        for path in arguments.pages:
            for scheme in ("light", "dark"):
                for width in (1280, 390):
                    for scripts in (True, False):
                        place = f"{path.name}, {scheme}, {width}{'' if scripts else ', no JavaScript'}"
                        context = browser.new_context(
                            color_scheme=scheme, viewport={"width": width, "height": 900}, java_script_enabled=scripts
                        )
                        page = context.new_page()
                        messages, fetched = [], []
                        page.on("console", lambda message: messages.append(message.text))
                        page.on("pageerror", lambda error: messages.append(str(error)))
                        page.on("request", lambda request: fetched.append(request.url))
                        page.goto(path.resolve().as_uri())
                        check(place, "sections", page.locator("h2").count() >= 2)
                        if scripts:
                            examine(page, place)
                            interact(page, place)
                            if arguments.pictures:
                                arguments.pictures.mkdir(parents=True, exist_ok=True)
                                page.mouse.move(2, 2)
                                page.screenshot(
                                    path=arguments.pictures / f"{path.stem}-{scheme}-{width}.png", full_page=True
                                )
                        else:
                            check(place, "no slider without JavaScript", all(not s.is_visible() for s in page.locator(".slider").all()))
                            check(place, "tables are there", page.locator("table").count() > 0)
                        check(place, "nothing on the console", not messages, messages[:3])
                        outside = [url for url in fetched if not url.startswith(("file:", "data:"))]
                        check(place, "nothing fetched", not outside, outside[:3])
                        context.close()
            print(f"{path}: checked")
        browser.close()
    print("no failures" if not failures else f"failures: {len(failures)}")
    sys.exit(1 if failures else 0)


main()

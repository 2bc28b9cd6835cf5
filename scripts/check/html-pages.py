#!/usr/bin/env python3
"""Opens pages written by `ckpt diff --html` in headless Chromium and looks for problems of a reader; exits with 1 if a
check fails.

Usage: scripts/check/html-pages.py PAGE.html… [--pictures FOLDER]

Each page is opened in light and dark, 1280, 768 and 390 pixels wide. There must be no message on the console, no network
request, nothing wider than the window, a contrast of at least 4.5 between every text and its background, a text
alternative for every drawing, and no gap in the levels of headings. No text of a chart may leave its drawing, and no
table may be wider than its rows need. Charts and heat maps must react to pointer and keyboard, the histogram's slider
must change it, table headings must sort, the filter must hide rows, and digests must be copied.

Names are read from Chromium's accessibility tree, as a screen reader gets them: everything that takes the focus must
have one, and so must every table and region. The Tab key must reach each of them in the order of the page, with an
outline that shows where it is. Without JavaScript all sections must be there, and no control without effect.
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

# Texts of drawings that leave their drawing or touch another text of it.
CROWDED = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg[role=img]')) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    for (const [text, box] of boxes)
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
        found.push(text + ' leaves ' + svg.getAttribute('aria-label').slice(0, 40));
    boxes.forEach(([text, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
      if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
        found.push(text + ' touches ' + other);
    }));
  }
  return found;
}"""

# Tables wider than the widest content of their columns.
WIDE = """() => [...document.querySelectorAll('table:not(.heat)')].filter(table => {
  if (!table.offsetWidth) return false;
  const before = table.offsetWidth;
  table.style.width = 'min-content';
  table.style.width = 'max-content';
  const needed = table.offsetWidth;
  table.style.width = '';
  return before > needed + 1;
}).map(table => table.caption.textContent)"""

# Heat maps that neither fill their card nor scroll.
LOOSE = """() => [...document.querySelectorAll('table.heat')].filter(table => {
  const card = table.parentElement;
  return card.clientWidth && table.offsetWidth < card.clientWidth - 2;
}).map(table => table.caption.textContent)"""


def accessibility(page, place):
    """Names and roles as Chromium gives them to a screen reader."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    nameless = []
    for node in nodes:
        if node.get("ignored"):
            continue
        role = node.get("role", {}).get("value", "")
        name = node.get("name", {}).get("value", "").strip()
        focusable = any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
        if role in ("RootWebArea", "StaticText", "InlineTextBox"):
            continue
        if not name and (focusable or role in ("table", "grid", "region", "navigation", "image", "img", "button", "slider")):
            nameless.append(role)
    check(place, "everything with a focus or a role of its own has a name", not nameless, nameless[:5])
    rows = [n for n in nodes if n.get("role", {}).get("value") == "rowheader" and not n.get("ignored")]
    check(place, "rows have headings", rows or page.locator("tbody tr").count() == 0)
    session.detach()


def tab_through(page, place):
    """The Tab key reaches everything that takes the focus, in the order of the page, visibly."""
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    wanted = page.evaluate(
        """() => { const all = [...document.querySelectorAll('a[href],button,input,summary,[tabindex="0"]')]
        .filter(e => e.checkVisibility() && e.tabIndex >= 0);
        all.forEach((e, i) => e.dataset.order = i); return all.length }"""
    )
    seen, invisible = [], 0
    for _ in range(wanted):
        page.keyboard.press("Tab")
        order, outlined = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return [+(e.dataset.order ?? -1), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0] }"""
        )
        seen.append(order)
        invisible += not outlined
    check(place, "Tab reaches everything in order", seen == list(range(wanted)), f"{seen[:12]} of {wanted}")
    check(place, "the focus is visible", not invisible, invisible)
    page.evaluate("document.activeElement.blur(); document.querySelectorAll('[data-order]').forEach(e => delete e.dataset.order)")


def examine(page, place):
    check(place, "fits the window", page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    check(place, "only what is folded is hidden", page.evaluate("[...document.querySelectorAll('details')].every(d => !d.open)"))
    tab_through(page, place)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    check(place, "fits the window when unfolded", page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    low = page.evaluate(CONTRAST)
    check(place, "contrast of texts", not low, low[:3])
    crowded = page.evaluate(CROWDED)
    check(place, "texts of charts have room", not crowded, crowded[:3])
    wide = page.evaluate(WIDE)
    check(place, "tables are no wider than they read", not wide, wide[:3])
    loose = page.evaluate(LOOSE)
    check(place, "heat maps fill their cards", not loose, loose)
    check(
        place, "drawings have text alternatives",
        page.evaluate("[...document.querySelectorAll('svg:not([aria-hidden])')].every(s => s.getAttribute('aria-label'))"),
    )
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    gaps = [b for a, b in zip(levels, levels[1:]) if b > a + 1]
    check(place, "one h1 and no gap in headings", levels.count(1) == 1 and levels[0] == 1 and not gaps, levels)
    accessibility(page, place)


def interact(page, place):
    tip = page.locator("#tip")
    chart = page.query_selector("figure[data-chart=line] svg")
    if chart:
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        check(place, "hover shows values", tip.is_visible() and tip.inner_text().startswith("step "))
        page.mouse.move(2, 2)
        check(place, "values disappear when the pointer leaves", tip.is_hidden())
        chart.focus()
        page.keyboard.press("ArrowRight")
        first = tip.inner_text()
        page.keyboard.press("ArrowRight")
        check(place, "arrow keys step through the values", tip.is_visible() and tip.inner_text() != first)
        page.evaluate("document.activeElement.blur()")
    heat = page.query_selector("[data-chart=heat]")
    if heat:
        heat.scroll_into_view_if_needed()
        page.mouse.move(2, 2)
        heat.focus()
        page.keyboard.press("ArrowRight")
        first = tip.inner_text()
        page.keyboard.press("ArrowDown")
        check(place, "arrow keys walk over a heat map", first and tip.is_visible() and tip.inner_text() != first)
        page.evaluate("document.activeElement.blur()")
        check(place, "leaving a heat map hides its text", tip.is_hidden())
        scrolls = heat.evaluate("e => e.scrollWidth > e.clientWidth + 1")
        cue = page.evaluate("getComputedStyle(document.querySelector('.heatmap .cue')).visibility === 'visible'")
        check(place, "a heat map that scrolls says so", scrolls == cue, f"{scrolls} {cue}")
    slider = page.query_selector("figure[data-chart=histogram] input")
    if slider:
        read = "document.querySelector('figure[data-chart=histogram] output').textContent"
        before = page.evaluate(read)
        slider.focus()
        page.keyboard.press("Home")
        check(place, "the slider changes the histogram", page.evaluate(read) != before)
    sortable = page.locator("table.sortable:has(td[data-value])")
    if sortable.count():
        column = "document.querySelector('table.sortable:has(td[data-value])').tBodies[0].rows"
        sortable.first.locator("th button").nth(2).focus()
        page.keyboard.press("Enter")
        values = page.evaluate(f"[...{column}].map(r => +r.cells[2].dataset.value)")
        check(place, "headings sort tables", values == sorted(values, reverse=True))
        state = sortable.first.locator("thead th").nth(2).get_attribute("aria-sort")
        check(place, "sorted headings have aria-sort", state == "descending", state)
    search = page.locator(".filter input")
    if search.count():
        rows = page.locator(".filter + .wide tbody tr")
        total = rows.count()
        search.first.fill("norm")
        names = page.evaluate("[...document.querySelectorAll('.filter + .wide tbody tr:not([hidden])')].map(r => r.cells[0].textContent)")
        check(place, "the filter keeps what matches", names and len(names) < total and all("norm" in n for n in names), names[:3])
        check(place, "the filter counts", page.locator(".filter output").inner_text() == f"{len(names)} of {total}")
        search.first.fill("")
    copy = page.locator(".copy:visible")
    if copy.count():
        copy.first.click()
        wanted = copy.first.get_attribute("data-copy")
        copied = page.evaluate("navigator.clipboard.readText()")
        check(place, "digests are copied whole", copied == wanted and len(wanted) == 64, copied)


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
                for width in (1280, 768, 390):
                    for scripts in (True, False):
                        place = f"{path.name}, {scheme}, {width}{'' if scripts else ', no JavaScript'}"
                        context = browser.new_context(
                            color_scheme=scheme, viewport={"width": width, "height": 900}, java_script_enabled=scripts,
                            permissions=["clipboard-read", "clipboard-write"],
                        )
                        page = context.new_page()
                        messages, fetched = [], []
                        page.on("console", lambda message: messages.append(message.text))
                        page.on("pageerror", lambda error: messages.append(str(error)))
                        page.on("request", lambda request: fetched.append(request.url))
                        page.goto(path.resolve().as_uri())
                        check(place, "sections", page.locator("h2").count() >= 2)
                        if scripts:
                            if arguments.pictures:
                                arguments.pictures.mkdir(parents=True, exist_ok=True)
                                page.screenshot(
                                    path=arguments.pictures / f"{path.stem}-{scheme}-{width}.png", full_page=True
                                )
                            examine(page, place)
                            interact(page, place)
                        else:
                            for kind in (".slider", ".filter", ".copy"):
                                hidden = all(not e.is_visible() for e in page.locator(kind).all())
                                check(place, f"no {kind} without JavaScript", hidden)
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

"""How long after its key a verdict survives a browser that is killed: until the page's journal has it on the disk.

    python benchmarks/journal_of_view.py [--verdicts 300] [--pause 100]

A verdict's entry is set as the page does it: one after another with a pause, and all at once as by a script.
Needs playwright and a Chromium.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import common

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests" / "helpers"))

from browser import find_browser  # noqa: E402
from view_site import make_site, serve  # noqa: E402

MEASURE = """async ([count, pause]) => {
  const { Journal } = await import(new URL('static/js/journal.js', document.baseURI));
  const journal = new Journal(indexedDB, `measured-${pause}`);
  await journal.entries();
  const text = JSON.stringify({ verdict: 'keep', id: 'f'.repeat(16), sha256: 'f'.repeat(64), labels: [] });
  const times = [];
  const waiting = [];
  for (let k = 0; k < count; k += 1) {
    const start = performance.now();
    journal.set(`verdict/${k}`, text);
    waiting.push(journal.settled().then(() => times.push(performance.now() - start)));
    if (pause) await new Promise((resolve) => setTimeout(resolve, pause));
  }
  await Promise.all(waiting);
  if ((await journal.entries()).length !== count) throw new Error('not all are there');
  return times.sort((a, b) => a - b);
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verdicts", type=int, default=300)
    parser.add_argument("--pause", type=int, default=100, help="milliseconds between two")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        make_site(Path(folder) / "site", 8, kind="hard", classes=10)
        # A profile on the disk: a window without one keeps its databases in memory.
        profile = Path(folder) / "profile"
        with serve(Path(folder) / "site") as address:
            context = playwright.chromium.launch_persistent_context(
                str(profile), executable_path=find_browser(), args=["--no-sandbox"]
            )
            page = context.new_page()
            page.goto(address)
            rows = []
            for name, pause in (("one after another", options.pause), ("all at once", 0)):
                times = page.evaluate(MEASURE, [options.verdicts, pause])
                at = [times[int(share * (len(times) - 1))] for share in (0.5, 0.99, 1)]
                rows.append((name, *(f"{one:.1f}" for one in at)))
            context.close()
    title = f"Milliseconds until the disk has a verdict, of {options.verdicts}"
    common.show(title, ("verdicts", "median", "99 %", "most"), rows)


if __name__ == "__main__":
    main()

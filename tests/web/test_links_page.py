"""Links into the page in a real browser: every state is one, back and forth, odd and hostile words."""

from urllib.parse import parse_qs

from grid_page import SCROLLER, N, count, field, rows
from view_site import HOSTILE, open_page
from waits import wait_equal, wait_page, wait_until


def settled(page):
    """The address and the rows, when neither changes any more: the place is written into it a while after a scroll."""
    seen = []
    wait_until(lambda: seen.append((page.url, rows(page))) or (len(seen) > 30 and len(set(map(str, seen[-30:]))) == 1))
    return seen[-1]


def test_every_state_is_a_link_that_goes_back_and_forth(browser, address, site):
    with open_page(browser, address + "#/s0/grid") as seen:
        page = seen.page
        page.wait_for_selector(".cell")
        field(page, "1-crop").select_option("1")
        field(page, "Origin").select_option("imagenet-a")
        wait_page(page, "() => location.hash.includes('origin=imagenet-a')")
        right, origin = site.models[0]["right"], site.images["origins"].index("imagenet-a")
        there = sum(right[k] == 1 and site.images["origin"][k] == origin for k in range(N))
        wait_equal(lambda: count(page), there)
        page.eval_on_selector(SCROLLER, "one => { one.scrollTop = 3000; }")
        wait_page(page, "() => location.hash.includes('at=')")
        link, first = settled(page)
        assert parse_qs(link.partition("?")[2])["right"] == ["1"]
        with open_page(browser, link) as shared:
            shared.page.wait_for_selector(".cell")
            wait_equal(lambda: (count(shared.page), rows(shared.page)), (there, first))
            assert field(shared.page, "Origin").input_value() == "imagenet-a"
        page.locator(".cell a").nth(20).click()
        wait_page(page, "() => location.hash.startsWith('#/s0/image/')")
        page.go_back()
        page.wait_for_selector(".cell")
        wait_equal(lambda: (page.url, rows(page)), (link, first))
        page.go_back()
        wait_page(page, "() => !location.hash.includes('origin')")
        wait_equal(lambda: [field(page, name).input_value() for name in ("Origin", "1-crop")], ["", "1"])
        page.go_back()
        wait_page(page, "n => document.querySelector('.count b').textContent == n", f"{N:,}")
        page.go_forward()
        wait_page(page, "() => location.hash.includes('right=1')")
        wait_equal(lambda: field(page, "1-crop").input_value(), "1")


def test_the_way_back_leads_to_the_place_that_was_left_at_once(browser, address):
    with open_page(browser, address + "#/s0/grid") as seen:
        page = seen.page
        page.wait_for_selector(".cell img")
        page.eval_on_selector(SCROLLER, "one => { one.scrollTop = 4000; }")
        wait_page(page, "() => Number(document.querySelector('.cell a').dataset.place) > 20")
        page.evaluate("() => document.querySelectorAll('.cell a')[30].click()")
        wait_page(page, "() => location.hash.startsWith('#/s0/image/')")
        wait_page(page, "() => document.activeElement.id === 'main'")
        page.go_back()
        page.wait_for_selector(".cell")
        wait_page(page, "() => document.querySelector('.scroller').scrollTop > 3500")
        wait_page(page, "() => document.activeElement.id === 'main'")


def test_a_link_waits_for_the_answers_that_it_is_about(browser, address, site):
    wrong, held = [k for k in range(N) if site.models[1]["right"][k] == 0], []
    with open_page(browser, address + "#/s0/overview") as seen:
        page = seen.page
        page.wait_for_selector(".numbers .bar")
        page.route("**/m1.json*", lambda route: held.append(route))
        page.goto("about:blank")
        page.goto(address + "#/s0/grid?m=m1&right=0&at=400")
        page.wait_for_selector(".count b")
        page.evaluate(
            """() => {
              const count = document.querySelector('.count b');
              globalThis.told = [count.textContent];
              const note = () => told.push(count.textContent);
              new MutationObserver(note).observe(count, { characterData: true, subtree: true, childList: true });
            }"""
        )
        wait_until(lambda: page.evaluate("told") and held)
        held[0].continue_()
        wait_equal(lambda: count(page), len(wrong))
        assert set(page.evaluate("told")) == {"…", f"{len(wrong):,}"}
        wait_until(lambda: wrong[400] in rows(page))
        shown = rows(page)
        assert shown == wrong[wrong.index(shown[0]) :][: len(shown)]
        assert wrong[0] not in shown
        assert "at=" in settled(page)[0]


def test_a_file_that_could_not_be_had_is_asked_for_again(browser, address):
    with open_page(browser, address + "#/s0/compare") as seen:
        page, refused = seen.page, []

        def once(route):
            if len(refused) < 2:
                refused.append(route.request.url)
                route.fulfill(status=503, body="{}")
            else:
                route.continue_()

        page.goto("about:blank")
        page.route("**/data/s0/*.json*", once)
        page.goto(address + "#/s0/grid")
        page.wait_for_selector(".sign")
        assert len(refused) == 2


def test_links_with_odd_words_show_the_page(browser, address):
    for odd in ("grid?size=constructor", "grid?sort=constructor&m=toString&right=0", "review?show=constructor&sort=x"):
        with open_page(browser, f"{address}#/s0/{odd}") as seen:
            seen.page.wait_for_selector(".cell, .empty")
            assert seen.page.get_by_text("This page failed").count() == 0
            assert seen.complaints == []


def test_hostile_names_are_text(browser, address, site):
    bad = [k for k in range(N) if site.images["id"][k].startswith(HOSTILE)]
    with open_page(browser, address + "#/s0/grid?q=onerror") as seen:
        page = seen.page
        page.wait_for_selector(".cell")
        wait_until(lambda: 0 < count(page) < N)
        assert bad
        wait_until(lambda: len(rows(page)) == len(page.locator(".cell a").all()))
        titles = page.eval_on_selector_all(".cell a", "all => all.map((one) => one.title + one.textContent)")
        # Each cell is there for a word that an image, a class or an origin has as text.
        assert len(titles) == len(rows(page))
        assert any(one.startswith(HOSTILE[0]) for one in titles)
        field(page, "Origin").select_option(HOSTILE[0])
        wait_page(page, "() => location.hash.includes('origin=')")
        assert page.title() == "Images · photographs · Snellen"
        page.goto(address + "#/s0/overview")
        page.get_by_role("link", name=HOSTILE[0]).wait_for()
        for hostile in HOSTILE:
            page.goto(
                address
                + f"#/s0/grid?q={hostile}&label={hostile}&origin={hostile}&sort={hostile}&size={hostile}&m={hostile}"
            )
            page.wait_for_selector(".cell, .empty, .scroller")
        page.goto(address + "#/%3Cimg%20src=x%20onerror=alert(1)%3E/grid")
        page.wait_for_selector(".cell")
        assert page.eval_on_selector_all("img[src=x], svg[onload], [onerror], main script", "all => all.length") == 0
        assert "pwned" not in page.title()
        assert seen.complaints == seen.requests == []

"""The queue of verdicts and the session of a reviewer, in a browser but with a server that the test plays."""

import json

import pytest
from browser import chromium
from view_site import make_site, open_page, serve

# A store as the browser's, a verdict of a client, and a server that answers when it is told to.
PRELUDE = """
const at = (name) => import(new URL(`static/js/${name}.js`, document.baseURI));
class Store {
  constructor(entries = {}) { this.map = new Map(Object.entries(entries)); }
  get length() { return this.map.size; }
  key(k) { return [...this.map.keys()][k] ?? null; }
  getItem(name) { return this.map.get(name) ?? null; }
  setItem(name, text) { this.map.set(name, text); }
  removeItem(name) { this.map.delete(name); }
}
const verdict = (client, seq, id = 'a') => ({
  id, client, seq, sha256: 'x', verdict: 'keep', labels: [], reviewer: 'ada', reason: '', based_on: [],
  time: '2025-01-01T00:00:00Z',
});
const calm = () => new Promise((resolve) => setTimeout(resolve, 20));
const quiet = { onStored: () => {}, onChange: () => {}, onElsewhere: () => {} };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("queue"), 8, kind="hard", classes=10)
    with serve(site.folder) as address, chromium() as browser, open_page(browser, address) as seen:
        yield seen.page


def run(page, body):
    return page.evaluate(f"async () => {{ {PRELUDE} {body} }}")


# What the server answers of a verdict that another page was rid of while it was asked: stored, or never to be.
@pytest.mark.parametrize(
    "answer",
    ["{ status: 200, body: { stored: ['one/0'] } }", "{ status: 400, body: { error: 'no', key: 'one/0' } }"],
)
def test_a_verdict_that_another_page_was_rid_of_meanwhile_is_nothing_to_tell_of(page, answer):
    found = run(
        page,
        f"""
        const {{ Queue }} = await at('queue');
        let tell = null;
        const storage = new Store({{ 'snellen-verdict/set/one/0': JSON.stringify(verdict('one', 0)) }});
        const send = () => new Promise((one) => {{ tell = one; }});
        const queue = new Queue({{ client: 'two', name: 'set', storage, send, ...quiet }});
        await queue.adopt();
        queue.forget('one/0');
        tell({answer});
        await calm();
        const {{ refused, failures, error }} = queue;
        return {{ refused: [...refused], failures, error, left: [...storage.map.keys()] }};
        """,
    )
    assert found == {"refused": [], "failures": 0, "error": "", "left": []}


def test_a_verdict_that_can_never_be_stored_is_kept_until_it_is_read(page):
    found = run(
        page,
        """
        const { Queue } = await at('queue');
        const [storage, sent] = [new Store(), []];
        const send = async (batch) => {
          sent.push(batch.map((one) => one.seq));
          const bad = batch.find((one) => one.seq === 1);
          return bad ? { status: 400, body: { error: 'no image', key: 'own/1' } }
            : { status: 200, body: { stored: batch.map((one) => `${one.client}/${one.seq}`) } };
        };
        const make = () => new Queue({ client: 'own', name: 'set', storage, send, ...quiet });
        const queue = make();
        for (const seq of [0, 1, 2]) queue.add(verdict('own', seq));
        await calm();
        const refused = [...make().refused].map(([key, { verdict, error }]) => [key, verdict.seq, error]);
        queue.dismiss('own/1');
        return { sent, refused, waiting: queue.waiting.size, left: storage.length };
        """,
    )
    assert found["refused"] == [["own/1", 1, "no image"]]
    assert [one for batch in found["sent"] if 1 not in batch for one in batch] == [0, 2]
    assert (found["waiting"], found["left"]) == (0, 0)


def test_what_is_no_verdict_of_this_set_is_left_alone(page):
    entries = {
        "snellen-verdict/set/x/0": "{",
        "snellen-verdict/set/x/1": "null",
        "snellen-verdict/set/x/2": json.dumps({"client": "x", "seq": 3, "based_on": [], "labels": []}),
        "snellen-verdict/set/x/4": json.dumps({"client": "x", "seq": 4, "based_on": []}),
        "snellen-refused/set/x/5": json.dumps({"error": "no"}),
        "snellen-verdict/other/x/6": json.dumps({"client": "x", "seq": 6, "based_on": [], "labels": []}),
        "something": "else",
    }
    found = run(
        page,
        f"""
        const {{ Queue }} = await at('queue');
        const storage = new Store({json.dumps(entries)});
        const send = () => {{ throw new Error('sent'); }};
        const queue = new Queue({{ client: 'own', name: 'set', storage, send, ...quiet }});
        await queue.adopt();
        return {{ waiting: queue.waiting.size, refused: queue.refused.size, left: storage.length }};
        """,
    )
    assert found == {"waiting": 0, "refused": 0, "left": len(entries)}


def test_nothing_is_undone_before_it_is_known_what_stands(page):
    found = run(
        page,
        """
        const { Session } = await at('session');
        const said = { key: 'old/0', reviewer: 'ada', verdict: 'keep', labels: [], time: '', reason: '' };
        const entry = { id: 'a', reviewer: 'ada', key: 'old/0', others: false, before: null };
        const [told, sent] = [[], []];
        const images = { a: { status: 'kept', labels: [], standing: [said] } };
        const body = { images, conflicts: [], reviewers: ['ada'] };
        const post = async (batch) => {
          sent.push(...batch);
          return { status: 200, body: { stored: batch.map((one) => `${one.client}/${one.seq}`), images: {} } };
        };
        const memory = new Store({ 'snellen-undo/set': JSON.stringify([entry]) });
        const session = new Session({
          name: 'set', columns: { key: ['a', 'b'], sha256: ['x', 'y'], labels: [[0], [0]] }, classes: { keys: ['c'] },
          canGive: true, api: { state: async () => ({ tag: '1', body }), post }, storage: new Store(), memory,
          say: (text) => told.push(text),
        });
        session.setReviewer('ada');
        session.undo();
        await session.refresh();
        session.undo();
        await calm();
        return { told, sent: sent.map((one) => [one.id, one.verdict, one.based_on]) };
        """,
    )
    assert found == {
        "told": ["The verdicts are still loading.", "Undone: unsure again."],
        "sent": [["a", "unsure", ["old/0"]]],
    }

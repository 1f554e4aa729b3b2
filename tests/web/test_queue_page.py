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


def test_the_journal_keeps_what_was_set_last_and_is_there_for_the_next_page(page):
    found = run(
        page,
        """
        const { Journal } = await at('journal');
        const first = new Journal(indexedDB, 'kept');
        for (let k = 0; k < 50; k += 1) first.set(`name/${k}`, `text ${k}`);
        first.set('name/7', 'other');
        await first.settled();
        first.set('name/8', null);
        first.set('name/9', 'gone');
        first.set('name/9', null);
        await first.settled();
        const found = new Map(await new Journal(indexedDB, 'kept').entries());
        const none = new Journal({ open: () => { throw new Error('there is none'); } }, 'kept');
        none.set('a', 'b');
        await none.settled();
        return { size: found.size, some: ['name/0', 'name/7', 'name/8', 'name/9'].map((one) => found.get(one) ?? null),
          none: await none.entries() };
        """,
    )
    assert found == {"size": 48, "some": ["text 0", "other", None, None], "none": []}


def test_what_only_the_journal_has_is_sent_unless_its_page_lives(page):
    """`gone` was killed before its entries reached the storage; `lives` has just taken its own out."""
    found = run(
        page,
        """
        const { Queue } = await at('queue');
        const entry = (client, seq) => [`snellen-verdict/set/${client}/${seq}`, JSON.stringify(verdict(client, seq))];
        const refused = JSON.stringify({ verdict: verdict('gone', 2), error: 'no' });
        const set = [];
        const journal = {
          set: (name, text) => set.push([name, text === null]),
          entries: async () => [entry('gone', 1), entry('gone', 0), entry('lives', 0), entry('own', 5),
            ['snellen-refused/set/gone/2', refused], ['snellen-verdict/other/gone/3', '{}']],
        };
        const locks = { // another page is looking after `gone` as well: nobody gets its lock alone
          request: async (name, { mode }, held) =>
            held?.(name.endsWith('/lives') || (name.endsWith('/gone') && mode !== 'shared') ? null : {}),
        };
        const sent = [];
        const send = async (batch) => {
          sent.push(...batch.map((one) => `${one.client}/${one.seq}`));
          return { status: 200, body: { stored: batch.map((one) => `${one.client}/${one.seq}`) } };
        };
        const storage = new Store();
        const queue = new Queue({ client: 'own', name: 'set', storage, journal, locks, send, ...quiet });
        await queue.adopt();
        for (let k = 0; k < 100 && queue.waiting.size + (sent.length < 2); k += 1) await calm();
        return { sent, refused: [...queue.refused.keys()], left: [...storage.map.keys()],
          taken: set.filter(([, gone]) => gone).map(([name]) => name) };
        """,
    )
    assert found["sent"] == ["gone/0", "gone/1"]
    assert found["refused"] == ["gone/2"]
    assert found["left"] == ["snellen-refused/set/gone/2"]
    assert found["taken"] == ["snellen-verdict/set/gone/0", "snellen-verdict/set/gone/1"]


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
          say: () => {},
        });
        session.setReviewer('ada');
        session.undo();
        told.push(session.note);
        await session.heard.refresh();
        session.undo();
        told.push(session.note);
        await calm();
        return { told, sent: sent.map((one) => [one.id, one.verdict, one.based_on]) };
        """,
    )
    assert found == {
        "told": ["The verdicts are still loading.", "Undone: it waits for you again."],
        "sent": [["a", "unsure", ["old/0"]]],
    }


# A session of a reviewer with four images, whose server tells what `state` holds.
SESSION = """
const { Session } = await at('session');
const told = (verdict, reviewer, key) => ({ key, reviewer, verdict, labels: [], time: '', reason: '' });
const state = { images: {}, conflicts: [], reviewers: [] };
let tag = 0;
const sent = [];
const session = new Session({
  name: 'set', classes: { keys: ['c', 'e'], names: ['cat', 'dog'] }, canGive: true, storage: new Store(),
  memory: new Store(), say: () => {},
  columns: {
    key: ['a', 'b', 'c', 'd'], id: ['A', 'B', 'C', 'D'], sha256: ['x', 'y', 'z', 'u'], labels: [[0], [0], [0], [0]],
  },
  api: {
    state: async () => ({ tag: String(tag += 1), body: structuredClone(state) }),
    post: async (batch) => {
      sent.push(...batch);
      return { status: 200, body: { stored: batch.map((one) => `${one.client}/${one.seq}`), images: {} } };
    },
  },
});
await session.heard.refresh();
"""


def test_what_was_undone_waits_again(page):
    found = run(
        page,
        SESSION
        + """
        session.setReviewer('ada');
        session.give('keep');
        session.give('drop');
        session.give('unsure');
        session.undo();
        session.undo();
        const after = [...session.tally.mine];
        const places = [];
        for (let k = 0; k < 3; k += 1) { session.nextOpen(); places.push(session.row); }
        session.goTo(3);
        session.setList('unsure', 'order');
        const unsure = [...session.cursor.list];
        session.setList('mine', 'order');
        const mine = [...session.cursor.list];
        await calm();
        return { after, places, unsure, mine, last: sent.at(-1).reason };
        """,
    )
    # Of four images the first is kept; the second and the third are as if nothing had been said of them.
    assert found["after"] == [2, 0, 0, 0]
    assert found["places"] == [2, 3, 1]
    assert (found["unsure"], found["mine"], found["last"]) == ([], [0], "undone")


def test_a_list_takes_in_what_comes_to_belong_to_it(page):
    found = run(
        page,
        SESSION
        + """
        session.setReviewer('ada');
        session.setList('conflicts', 'order');
        const lists = [[...session.cursor.list]];
        const clash = (id) => {
          const standing = [told('keep', 'bob', `${id}/1`), told('drop', 'cy', `${id}/2`)];
          state.images[id] = { status: 'undecided', labels: [], standing };
          state.conflicts.push({ id, why: 'reviewers disagree', keys: [] });
        };
        clash('c');
        await session.heard.refresh();
        lists.push([...session.cursor.list, session.row]);
        clash('b');
        await session.heard.refresh();
        lists.push([...session.cursor.list, session.row]);
        session.draft.labels = ['e'];
        state.conflicts.shift(); // settled by somebody: it stays where it is, since somebody is at it
        await session.heard.refresh();
        lists.push([...session.cursor.list, session.row, session.draft.labels.length]);
        return lists;
        """,
    )
    assert found == [[], [2, 2], [1, 2, 2], [1, 2, 2, 1]]


def test_a_line_says_what_an_action_came_to_until_the_next(page):
    found = run(
        page,
        SESSION
        + """
        const notes = [];
        const note = (run) => { run(); notes.push(session.note); };
        note(() => session.give('keep'));
        const asked = session.nameless;
        note(() => session.step(1));
        session.setReviewer('ada');
        note(() => session.undo());
        note(() => session.toggle(0));
        note(() => session.give('relabel'));
        note(() => session.toggle(1));
        note(() => session.give('relabel'));
        for (let k = 0; k < 2; k += 1) session.give('keep');
        note(() => session.give('keep'));
        note(() => session.toggleOthers());
        await calm();
        return { asked, notes, sent: sent.length };
        """,
    )
    assert found["asked"] == 1
    assert [bool(note) for note in found["notes"]] == [True, False, True, False, True, False, False, True, False]
    assert "who you are" in found["notes"][0]
    assert found["notes"][-2] == "Nothing in this list waits for you any more."
    assert found["sent"] == 4

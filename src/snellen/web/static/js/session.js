// A reviewer at work: where they are, what stands, what they give. Keys act on this object at once, before anything is
// drawn: the image that a verdict is on is the one under the cursor when the key went down, and the cursor moves first.
import { History } from './history.js';
import { Queue } from './queue.js';
import { newClient } from './reviewapi.js';
import { isUndone, keyOf, listed, nextIn, remembered, seen, undoing } from './standing.js';
import { Tally } from './tally.js';

const NO_NAME = 'A verdict has a name: write who you are into “Reviewer” and press Begin.';

export class Session {
  #listeners = new Set(); #client = newClient(); #seq = 0; #last = 0; #tag = null; #stored = 0; #asking = null; #gone = new Set();

  loaded = false; failure = '';
  /** Where: an index into `list`, which holds positions of images. */
  place = 0; list = []; show = 'all'; sort = 'order';
  /** What is being made for the image under the cursor. */
  draft = { labels: [], reason: '' }; othersShown = false;
  picker = { text: '', at: 0 };
  /** What the last action came to, as a line that everybody sees until the next; and how often a name was missed. */
  note = ''; nameless = 0;

  /**
   * name: of the hard set. api: `{state(tag), post(verdicts)}`. storage, memory: as localStorage and sessionStorage, or null.
   * say(text): says something to those who hear the page; the others see it.
   */
  constructor({ name, columns, classes, canGive, api, storage, memory, locks = null, say }) {
    Object.assign(this, { columns, classes, canGive, api, say });
    this.count = columns.key.length;
    this.tally = new Tally(columns.key, (id) => this.queue.of(id));
    this.history = new History(name, memory);
    this.queue = new Queue({
      client: this.#client, name, storage, locks, send: api.post,
      onStored: (body) => this.#take(body),
      onChange: () => this.changed(),
      onElsewhere: async (key) => {
        this.#gone.add(key);
        await this.#asking; // it may have begun too early
        await this.refresh();
      },
    });
    this.tally.countAll();
    this.list = this.#listed();
  }

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed() {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Shows a line, until the next action. */
  tell(text) {
    this.note = text;
    this.changed();
  }

  /** The position under the cursor; null where the list is empty. */
  get row() {
    return this.list[this.place] ?? null;
  }

  /** The labels that an image was mined with, as keys. */
  keysOf(row) {
    return this.columns.labels[row].map((id) => this.classes.keys[id]);
  }

  get reviewer() {
    return this.tally.reviewer;
  }

  /** Whose verdicts on the image under the cursor are shown, and replaced by a new one. */
  seen(row) {
    return seen(this.tally.standing(row), this.reviewer, this.showsOthers());
  }

  showsOthers() {
    return this.othersShown || this.show === 'conflicts';
  }

  setReviewer(name) {
    this.tally.reviewer = name;
    this.tally.countAll();
    this.tell('');
  }

  /** Goes through other images, or in another order; stays at the same image where it is among them. */
  setList(show, sort) {
    const row = this.row;
    [this.show, this.sort] = [show, sort];
    this.list = this.#listed();
    this.#moveTo(Math.max(0, this.list.indexOf(row)));
  }

  /** Goes to an image; one that is not in the list is put into it. */
  goTo(row) {
    if (!Number.isInteger(row) || row < 0 || row >= this.count) return;
    if (!this.list.includes(row)) {
      const later = this.sort === 'order' ? this.list.findIndex((one) => one > row) : 0;
      this.list.splice(later < 0 ? this.list.length : later, 0, row);
    }
    this.#moveTo(this.list.indexOf(row));
  }

  step(by) {
    if (!this.list.length) return;
    this.#moveTo((this.place + by + this.list.length) % this.list.length);
    this.say(this.#here());
  }

  /** Goes to the next image that waits for this reviewer. False where there is none. */
  nextOpen() {
    const place = this.nextPlace();
    if (place === null) return false;
    this.#moveTo(place);
    this.say(this.#here());
    return true;
  }

  /** Where that is: nothing said first, then `unsure`; null where there is none. */
  nextPlace() {
    const { mine, states } = this.tally;
    const lists = { conflicts: [(row) => states[row].conflict], mine: [() => true] };
    for (const test of lists[this.show] ?? [(row) => mine[row] === 0, (row) => mine[row] === 1]) {
      const place = nextIn(this.list, this.place, test);
      if (place !== null && place !== this.place) return place;
    }
    return null;
  }

  /** A verdict on the image under the cursor, which then moves on; false, and why, where it cannot be given. */
  give(word) {
    const row = this.row;
    const labels = word === 'relabel' ? [...this.draft.labels].sort() : [];
    const fault = this.#fault(row, word, labels);
    if (fault) {
      if (fault === NO_NAME) this.nameless += 1;
      this.tell(fault);
      return false;
    }
    const replaced = this.seen(row);
    const said = { verdict: word, labels, reason: this.draft.reason.trim().slice(0, 10000) };
    if (!(replaced.length === 1 && replaced[0].reviewer === this.reviewer && same(replaced[0], said))) {
      const verdict = this.#add(row, said, replaced.map((one) => one.key));
      this.history.add(remembered(verdict, replaced));
    }
    if (this.nextOpen()) this.say(`${word}. Now ${this.#here()}`);
    else {
      this.#moveTo(this.place);
      this.tell('Nothing in this list waits for you any more.');
    }
    return true;
  }

  /** Takes the last verdict of this page back, by another one; the cursor goes to its image. */
  undo() {
    if (!this.loaded) { // what was said of the image is not known yet
      this.tell('The verdicts are still loading.');
      return;
    }
    const entry = this.history.last(this.reviewer, this.tally.at);
    if (!entry || !this.canGive) {
      this.tell('There is nothing to undo.');
      return;
    }
    const row = this.tally.at.get(entry.id);
    this.goTo(row);
    if (!this.tally.standing(row).some((one) => one.key === entry.key)) {
      this.history.remove(entry);
      this.tell('This verdict was replaced elsewhere; it is not undone.');
    } else {
      const said = undoing(entry);
      this.history.remove(entry, keyOf(this.#add(row, said, [entry.key])));
      this.tell(isUndone(said) ? 'Undone: it waits for you again.' : `Undone: ${said.verdict} again.`);
    }
  }

  /** Adds a class to the labels of the draft, or takes it out. */
  toggle(id) {
    const key = this.classes.keys[id];
    const { labels } = this.draft;
    this.draft.labels = labels.includes(key) ? labels.filter((one) => one !== key) : [...labels, key];
    this.tell('');
  }

  removeLast() {
    this.draft.labels = this.draft.labels.slice(0, -1);
    this.tell('');
  }

  toggleOthers() {
    this.othersShown = !this.othersShown;
    this.tell('');
  }

  /** Asks the server what stands. */
  refresh() {
    this.#asking ??= this.#refreshed().finally(() => { this.#asking = null; });
    return this.#asking;
  }

  async #refreshed() {
    try {
      let [answer, before, gone] = [];
      do { // an answer from before a verdict was stored would take it out of sight
        [before, gone] = [this.#stored, [...this.#gone]];
        answer = await this.api.state(this.#tag);
      } while (before !== this.#stored);
      this.failure = '';
      if (answer) {
        this.#tag = answer.tag;
        this.tally.read(answer.body);
        this.#follow();
      }
      for (const key of gone) this.#forget(key); // what other pages sent stands there now
      this.loaded = true;
    } catch (error) {
      this.failure = error?.told ? error.message : 'The server does not answer; what others say is not known at the moment.';
    }
    this.changed();
  }

  /** What the server told of images whose verdicts it stored. */
  #take(body) {
    this.#stored += 1;
    this.#tag = null;
    for (const id of this.tally.take(body)) this.tally.count(this.tally.at.get(id));
    this.#follow();
  }

  #forget(key) {
    const id = this.queue.waiting.get(key)?.id;
    this.#gone.delete(key);
    this.queue.forget(key);
    this.tally.count(this.tally.at.get(id));
  }

  #fault(row, word, labels) {
    if (!this.canGive) return 'This page is read-only.';
    if (row === null) return 'There is no image in this list.';
    if (!this.reviewer) return NO_NAME;
    if (!this.loaded) return 'The verdicts are still loading.';
    if (word === 'relabel' && !labels.length) return 'Choose a label first.';
    return labels.length && labels.join() === [...this.keysOf(row)].sort().join() ? 'These are the labels it has: keep it, or choose others.' : '';
  }

  #add(row, said, basedOn) {
    this.#last = Math.max(this.#last, Date.now()); // a clock that is set back does not turn the order round
    const verdict = {
      id: this.columns.key[row], sha256: this.columns.sha256[row], ...said, reviewer: this.reviewer,
      client: this.#client, seq: this.#seq, based_on: basedOn, time: new Date(this.#last).toISOString(),
    };
    this.#seq += 1;
    this.queue.add(verdict);
    this.tally.count(row);
    return verdict;
  }

  /** The image under the cursor, for those who hear it. */
  #here() {
    return [this.columns.id[this.row], ...this.columns.labels[this.row].map((id) => this.classes.names[id])].join(', ');
  }

  #moveTo(place) {
    this.place = place;
    this.draft = { labels: [], reason: '' };
    this.othersShown = false;
    Object.assign(this.picker, { text: '', at: 0 });
    this.tell('');
  }

  /** Images that came to belong to the list join it, in their places; none goes while somebody is at it. */
  #follow() {
    if (this.show === 'all') return;
    const row = this.row;
    this.list = this.#listed(new Set(this.list));
    this.place = Math.max(0, this.list.indexOf(row));
  }

  #listed(stay = new Set()) {
    const of = (row) => ({ ...this.tally.states[row], mine: this.tally.mine[row] });
    return listed(this.count, this.show, this.sort, of, this.columns.suspect, stay);
  }
}

const same = (one, said) =>
  one.verdict === said.verdict && one.reason === said.reason && [...one.labels].sort().join() === said.labels.join();

// A reviewer at work: where they are, what stands, what they give. Keys act on this object at once, before anything is
// drawn: the image that a verdict is on is the one under the cursor when the key went down, and the cursor moves first.
import { Cursor } from './cursor.js';
import { Heard } from './heard.js';
import { History } from './history.js';
import { Queue } from './queue.js';
import { newClient } from './reviewapi.js';
import { isUndone, keyOf, remembered, seen, undoing } from './standing.js';
import { Tally } from './tally.js';

const NO_NAME = 'A verdict has a name: write who you are into “Reviewer” and press Begin.';

export class Session {
  #listeners = new Set(); #client = newClient(); #seq = 0; #last = 0;

  /** What is being made for the image under the cursor. */
  draft = { labels: [], reason: '' }; othersShown = false;
  picker = { text: '', at: 0 };
  /** What the last action came to, as a line that everybody sees until the next; and how often a name was missed. */
  note = ''; nameless = 0;

  /**
   * name: of the hard set. api: `{state(tag), post(verdicts)}`. storage, memory: as localStorage and sessionStorage, journal: a `Journal`; each may be null.
   * say(text): says something to those who hear the page; the others see it.
   */
  constructor({ name, columns, classes, canGive, api, storage, journal = null, memory, locks = null, say }) {
    Object.assign(this, { columns, classes, canGive, say });
    this.count = columns.key.length;
    this.tally = new Tally(columns.key, (id) => this.queue.of(id));
    this.history = new History(name, memory);
    this.queue = new Queue({
      client: this.#client, name, storage, journal, locks, send: api.post,
      onStored: (body) => this.heard.take(body),
      onChange: () => this.changed(),
      onElsewhere: (key) => this.heard.elsewhere(key),
    });
    this.tally.countAll();
    this.cursor = new Cursor(this.tally, () => this.columns.suspect);
    this.heard = new Heard({
      ask: api.state, tally: this.tally, queue: this.queue,
      onChange: () => {
        this.cursor.follow();
        this.changed();
      },
    });
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
    return this.cursor.row;
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
    return this.othersShown || this.cursor.show === 'conflicts';
  }

  setReviewer(name) {
    this.tally.reviewer = name;
    this.tally.countAll();
    this.tell('');
  }

  /** Goes through other images, or in another order; stays at the same image where it is among them. */
  setList(show, sort) {
    this.cursor.setList(show, sort);
    this.#moved();
  }

  /** Goes to an image; one that is not in the list is put into it. */
  goTo(row) {
    if (this.cursor.goTo(row)) this.#moved();
  }

  step(by) {
    if (this.row === null) return;
    this.cursor.step(by);
    this.#moved();
    this.say(this.#here());
  }

  /** Goes to the next image that waits for this reviewer. False where there is none. */
  nextOpen() {
    const place = this.cursor.next();
    if (place === null) return false;
    this.cursor.place = place;
    this.#moved();
    this.say(this.#here());
    return true;
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
      this.#moved();
      this.tell('Nothing in this list waits for you any more.');
    }
    return true;
  }

  /** Takes the last verdict of this page back, by another one; the cursor goes to its image. */
  undo() {
    if (!this.heard.loaded) { // what was said of the image is not known yet
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

  #fault(row, word, labels) {
    if (!this.canGive) return 'This page is read-only.';
    if (row === null) return 'There is no image in this list.';
    if (!this.reviewer) return NO_NAME;
    if (!this.heard.loaded) return 'The verdicts are still loading.';
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

  #moved() {
    this.draft = { labels: [], reason: '' };
    this.othersShown = false;
    Object.assign(this.picker, { text: '', at: 0 });
    this.tell('');
  }
}

const same = (one, said) =>
  one.verdict === said.verdict && one.reason === said.reason && [...one.labels].sort().join() === said.labels.join();

// The queue of verdicts on their way to the server: nothing that was typed is lost, whatever fails.
//
// A verdict is written to the browser's storage under a name of its own before anything else happens, and leaves it when
// the server has said that it is on the disk, or that it never can be. One request is under way at a time; a client's
// verdicts go in the order of their numbers. Sending twice does nothing: client and number name a verdict.
//
// Every page load is a client of its own. What a closed or reloaded page left behind is sent by whichever page is open;
// a lock that each page holds as long as it lives says which those are. Where a browser has no locks (no https, not this
// machine), the leftovers of living pages are sent as well, which is harmless.

import { Shelf } from './shelf.js';
import { keyOf } from './standing.js';

const BATCH = 10; // verdicts of a request; the log has a file for each
const FIRST_WAIT = 250; // ms, doubled at each failure
const LONGEST_WAIT = 15000;

export class Queue {
  #shelf; #send; #name; #locks; #later; #own; #busy = false; #size = BATCH; #wake = null;
  #adopted = new Set(); #byId = new Map(); #recovered = null;

  /** Verdicts by key that are not known to be stored, oldest first; also those of other pages. */
  waiting = new Map();
  /** Verdicts that can never be stored: `{verdict, error}` by key, until somebody has read them. */
  refused = new Map();
  /** How often sending has failed in a row, why last (one line), and when it is tried again (ms). */
  failures = 0; error = ''; nextTry = 0;

  /**
   * name: of the hard set, so that two on one address are not mixed. storage: as localStorage, or null. journal: a `Journal`, or null.
   * send(verdicts): resolves to `{status, body}`, rejects where there is no answer.
   * onStored(body): what the server told of their images, when they are no longer waiting. onChange(): anything changed. onElsewhere(key): another page is rid of it.
   */
  constructor({ client, name, storage, journal = null, send, locks = null, later = (run, ms) => setTimeout(run, ms), onStored, onChange, onElsewhere }) {
    Object.assign(this, { onStored, onChange, onElsewhere });
    [this.#own, this.#name, this.#send, this.#locks, this.#later] = [client, name, send, locks, later];
    this.#shelf = new Shelf({ name, storage, journal });
    this.#locks?.request(this.#lockOf(client), () => new Promise(() => {})); // until the page is closed
    for (const found of this.#shelf.entries()) this.#put(found);
  }

  /** Takes a verdict of this page; it is in the storage when this returns. */
  add(verdict) {
    const key = keyOf(verdict);
    this.#put({ kind: 'waiting', key, entry: verdict });
    this.#shelf.keep('waiting', key, verdict);
    this.work();
  }

  /** Whether the browser's storage takes what it is given. */
  get kept() {
    return this.#shelf.works;
  }

  /** The unsent verdicts on an image, in the order they were given. */
  of(id) {
    return [...(this.#byId.get(id)?.values() ?? [])];
  }

  /** Another page wrote or removed something (a `storage` event). */
  onStorage({ key, newValue }) {
    const of = key === null ? null : this.#shelf.named(key);
    if (!of) return;
    const found = newValue === null ? null : this.#shelf.read(key, newValue);
    if (found) this.#put(found);
    else if (newValue === null && of.kind === 'refused') this.refused.delete(of.key);
    else if (newValue === null) this.onElsewhere(of.key);
    this.onChange();
  }

  /** Looks for verdicts that a page which is gone left behind, and sends them. */
  async adopt() {
    this.#recovered ??= this.#recover();
    const clients = new Set([...this.waiting.values()].map((one) => one.client));
    for (const client of clients) {
      if (!this.#adopted.has(client) && await this.#isGone(client)) this.#adopted.add(client);
    }
    this.work();
  }

  /** Tries again at once. */
  retry() {
    this.#wake?.();
    this.work();
  }

  /** Takes a verdict out: it is stored, or not to be sent any more. */
  forget(key) {
    const verdict = this.waiting.get(key);
    this.waiting.delete(key);
    const same = this.#byId.get(verdict?.id);
    same?.delete(key);
    if (same?.size === 0) this.#byId.delete(verdict.id);
    this.#shelf.drop('waiting', key);
  }

  /** A refused verdict was read about, and need not be shown any more. */
  dismiss(key) {
    this.refused.delete(key);
    this.#shelf.drop('refused', key);
    this.onChange();
  }

  /** Sends what is there, one request after another, until nothing is left. */
  async work() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let batch = this.#next(); batch.length; batch = this.#next()) {
        const fault = await this.#deliver(batch);
        this.error = fault;
        this.failures = fault ? this.failures + 1 : 0;
        this.onChange();
        if (fault) await this.#pause();
      }
    } finally {
      this.#busy = false;
    }
    this.onChange();
  }

  /** What goes next: the first verdicts of this page, then those of pages that are gone. */
  #next() {
    for (const client of [this.#own, ...this.#adopted]) {
      const found = [...this.waiting.values()].filter((one) => one.client === client);
      if (found.length) return found.sort((a, b) => a.seq - b.seq).slice(0, this.#size);
    }
    return [];
  }

  /** Sends a batch; why it has to be sent again, "" where it has not. */
  async #deliver(batch) {
    let answer;
    try {
      answer = await this.#send(batch);
    } catch {
      return 'no answer from the server';
    }
    const { status, body } = answer;
    const told = typeof body?.error === 'string' ? body.error : `the server answered ${status}`;
    if (status === 200 && Array.isArray(body?.stored)) {
      const sent = new Set(batch.map(keyOf));
      const stored = body.stored.filter((key) => sent.has(key));
      if (!stored.length) return 'the server stored nothing';
      for (const key of stored) this.forget(key);
      this.onStored(body);
      this.#size = BATCH;
      return '';
    }
    if (![400, 409, 413, 422].includes(status)) return told; // it may be well again
    const keys = batch.map(keyOf);
    if (batch.length > 1 && !keys.includes(body?.key)) {
      this.#size = 1; // which of them is it?
      return '';
    }
    this.#refuse(batch[Math.max(0, keys.indexOf(body?.key))], told);
    return '';
  }

  #refuse(verdict, error) {
    const [key, entry] = [keyOf(verdict), { verdict, error }];
    if (!this.waiting.has(key)) return; // another page was refused it as well, and shows it
    this.refused.set(key, entry);
    this.#shelf.keep('refused', key, entry);
    this.forget(key);
  }

  #pause() {
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(this.failures - 1, 10));
    this.nextTry = Date.now() + wait;
    return new Promise((resolve) => {
      this.#wake = () => { this.#wake = null; resolve(); };
      this.#later(() => this.#wake?.(), wait);
    });
  }

  /** Takes in what a browser that was killed has in its journal alone. */
  async #recover() {
    for (const found of await this.#shelf.lost()) {
      if (!await this.#isGone(found.key.slice(0, found.key.lastIndexOf('/')))) continue;
      this.#put(found);
      this.#shelf.keep(found.kind, found.key, found.entry);
    }
    if (this.waiting.size) this.adopt();
    this.onChange();
  }

  /** Whether the page of a client was closed; its name is never used again. Where there are no locks: whether it is another. */
  async #isGone(client) {
    if (client === this.#own) return false;
    // Shared, so that two pages that look at the same time do not take each other for that page.
    return !this.#locks || this.#locks.request(this.#lockOf(client), { ifAvailable: true, mode: 'shared' }, (lock) => lock !== null);
  }

  #put({ kind, key, entry }) {
    if (kind === 'refused') {
      this.refused.set(key, entry);
      return;
    }
    this.waiting.set(key, entry);
    if (!this.#byId.has(entry.id)) this.#byId.set(entry.id, new Map());
    this.#byId.get(entry.id).set(key, entry);
  }

  #lockOf(client) {
    return `snellen-verdict/${this.#name}/${client}`;
  }
}

// The queue of verdicts on their way to the server: nothing that was typed is lost, whatever fails.
//
// A verdict is written to the browser's storage under a name of its own before anything else happens, and leaves it when
// the server has said that it is on the disk, or that it never can be. One request is under way at a time; a client's
// verdicts go in the order of their numbers. Sending twice does nothing: client and number name a verdict.
//
// Every page load is a client of its own. What a closed or reloaded page left behind is sent by whichever page is open;
// a lock that each page holds as long as it lives says which those are. Where a browser has no locks (no https, not this
// machine), the leftovers of living pages are sent as well, which is harmless.

import { keyOf } from './standing.js';

const BATCH = 10; // verdicts of a request; the log has a file for each
const FIRST_WAIT = 250; // ms, doubled at each failure
const LONGEST_WAIT = 15000;

export class Queue {
  #prefix; #storage; #send; #locks; #later; #own; #busy = false; #size = BATCH; #wake = null;
  #adopted = new Set(); #byId = new Map();

  /** Verdicts by key that are not known to be stored, oldest first; also those of other pages. */
  waiting = new Map();
  /** Verdicts that can never be stored: `{verdict, error}` by key, until somebody has read them. */
  refused = new Map();
  /** How often sending has failed in a row, why last (one line), and when it is tried again (ms). */
  failures = 0; error = ''; nextTry = 0;
  /** Whether the browser's storage takes what it is given. */
  kept = true;

  /**
   * name: of the hard set, so that two on one address are not mixed. storage: as localStorage, or null.
   * send(verdicts): resolves to `{status, body}`, rejects where there is no answer.
   * onStored(body): what the server told of their images, when they are no longer waiting. onChange(): anything changed. onElsewhere(key): another page is rid of it.
   */
  constructor({ client, name, storage, send, locks = null, later = (run, ms) => setTimeout(run, ms), onStored, onChange, onElsewhere }) {
    Object.assign(this, { onStored, onChange, onElsewhere });
    this.#prefix = { waiting: `snellen-verdict/${name}/`, refused: `snellen-refused/${name}/` };
    [this.#own, this.#storage, this.#send, this.#locks, this.#later] = [client, storage, send, locks, later];
    this.kept = storage !== null;
    this.#locks?.request(this.#lockOf(client), () => new Promise(() => {})); // until the page is closed
    for (const name of this.#names()) this.#read(name, this.#storage.getItem(name));
  }

  /** Takes a verdict of this page; it is in the storage when this returns. */
  add(verdict) {
    this.#put(verdict);
    this.#keep(this.#prefix.waiting + keyOf(verdict), verdict);
    this.work();
  }

  /** The unsent verdicts on an image, in the order they were given. */
  of(id) {
    return [...(this.#byId.get(id)?.values() ?? [])];
  }

  /** Another page wrote or removed something (a `storage` event). */
  onStorage({ key, newValue }) {
    if (key === null || !Object.values(this.#prefix).some((prefix) => key.startsWith(prefix))) return;
    if (newValue !== null) this.#read(key, newValue);
    else if (key.startsWith(this.#prefix.refused)) this.refused.delete(key.slice(this.#prefix.refused.length));
    else this.onElsewhere(key.slice(this.#prefix.waiting.length));
    this.onChange();
  }

  /** Looks for verdicts that a page which is gone left behind, and sends them. */
  async adopt() {
    const clients = new Set([...this.waiting.values()].map((one) => one.client));
    for (const client of clients) {
      if (client === this.#own || this.#adopted.has(client)) continue;
      if (!this.#locks) this.#adopted.add(client);
      else {
        await this.#locks.request(this.#lockOf(client), { ifAvailable: true }, (lock) => {
          if (lock) this.#adopted.add(client); // it is gone, and its name is never used again
        });
      }
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
    this.#drop(this.#prefix.waiting + key);
  }

  /** A refused verdict was read about, and need not be shown any more. */
  dismiss(key) {
    this.refused.delete(key);
    this.#drop(this.#prefix.refused + key);
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
    this.#keep(this.#prefix.refused + key, entry);
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

  #put(verdict) {
    const key = keyOf(verdict);
    this.waiting.set(key, verdict);
    if (!this.#byId.has(verdict.id)) this.#byId.set(verdict.id, new Map());
    this.#byId.get(verdict.id).set(key, verdict);
  }

  /** What stands in the storage under a name; anything that is no verdict is left alone. */
  #read(name, text) {
    let entry = null;
    try {
      entry = JSON.parse(text);
    } catch {
      return;
    }
    const [kind, prefix] = Object.entries(this.#prefix).find(([, start]) => name.startsWith(start));
    const verdict = kind === 'refused' ? entry?.verdict : entry;
    if (!verdict || keyOf(verdict) !== name.slice(prefix.length)) return;
    if (![verdict.based_on, verdict.labels].every(Array.isArray)) return;
    if (kind === 'refused') this.refused.set(keyOf(verdict), entry);
    else this.#put(verdict);
  }

  #names() {
    const all = Array.from({ length: this.#storage?.length ?? 0 }, (_, k) => this.#storage.key(k));
    const number = (name) => Number(name.slice(name.lastIndexOf('/') + 1));
    return all
      .filter((name) => Object.values(this.#prefix).some((prefix) => name.startsWith(prefix)))
      .sort((a, b) => number(a) - number(b));
  }

  #keep(name, entry) {
    try {
      this.#storage.setItem(name, JSON.stringify(entry));
    } catch {
      this.kept = false; // full, or none: it is only in this page until it is sent
    }
  }

  #drop(name) {
    try {
      this.#storage.removeItem(name);
    } catch {
      // There is no storage.
    }
  }

  #lockOf(client) {
    return `${this.#prefix.waiting}${client}`;
  }
}

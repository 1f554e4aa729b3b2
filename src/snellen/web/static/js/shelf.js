// Where the queue keeps what it must not lose: the browser's storage, and the journal beside it. An entry has a kind and
// the key of its verdict: `waiting`, the verdict itself, or `refused`, `{verdict, error}`.
//
// The storage takes an entry at once and tells other tabs, but a browser that is killed loses what it was given last. The
// journal holds the same entries and does not lose them; it is read once, for what pages that are gone had in it.
import { keyOf } from './standing.js';

export class Shelf {
  #prefixes; #storage; #journal;

  /** Whether the storage takes what it is given. */
  works = true;

  /** name: of the hard set, so that two on one address are not mixed. storage: as localStorage, journal: a `Journal`; or null. */
  constructor({ name, storage, journal }) {
    [this.#storage, this.#journal, this.works] = [storage, journal, storage !== null];
    this.#prefixes = { waiting: `snellen-verdict/${name}/`, refused: `snellen-refused/${name}/` };
  }

  keep(kind, key, entry) {
    const [name, text] = [this.#prefixes[kind] + key, JSON.stringify(entry)];
    this.#journal?.set(name, text);
    try {
      this.#storage.setItem(name, text);
    } catch {
      this.works = false; // full, or none: it is only in this page, and the journal, until it is sent
    }
  }

  drop(kind, key) {
    const name = this.#prefixes[kind] + key;
    this.#journal?.set(name, null);
    try {
      this.#storage.removeItem(name);
    } catch {
      // There is no storage.
    }
  }

  /** What is in the storage, `{kind, key, entry}`, in the order it was given. */
  entries() {
    const names = Array.from({ length: this.#storage?.length ?? 0 }, (_, k) => this.#storage.key(k));
    const number = (name) => Number(name.slice(name.lastIndexOf('/') + 1));
    return names.sort((a, b) => number(a) - number(b)).map((name) => this.read(name, this.#storage.getItem(name))).filter(Boolean);
  }

  /** What is in the journal alone. */
  async lost() {
    const found = await this.#journal?.entries() ?? [];
    return found.filter(([name]) => !this.#storage?.getItem(name)).map(([name, text]) => this.read(name, text)).filter(Boolean);
  }

  /** What a name is of, `{kind, key}`; null for a name of others. */
  named(name) {
    const found = Object.entries(this.#prefixes).find(([, prefix]) => name.startsWith(prefix));
    return found ? { kind: found[0], key: name.slice(found[1].length) } : null;
  }

  /** The entry that a text under a name is; null for anything that is no verdict of this set. */
  read(name, text) {
    const of = this.named(name);
    if (!of) return null;
    let entry = null;
    try {
      entry = JSON.parse(text);
    } catch {
      return null;
    }
    const verdict = of.kind === 'refused' ? entry?.verdict : entry;
    if (!verdict || keyOf(verdict) !== of.key || ![verdict.based_on, verdict.labels].every(Array.isArray)) return null;
    return { ...of, entry };
  }
}

// Keeps entries by name where they outlive a browser that is killed. What `localStorage` is given, Chromium writes to the
// disk seconds later; a transaction of IndexedDB with strict durability is on the disk when it ends. Entries are written
// in the order they came, as many at once as have come since the last transaction began.

const STORE = 'entries';

export class Journal {
  #opened; #pending = new Map(); #writing = null;

  /** factory: as `indexedDB`. name: of the database. */
  constructor(factory, name) {
    this.#opened = open(factory, name);
    this.#opened.catch(() => {}); // told by whoever asks
  }

  /** Has a text written under a name; null takes it away. */
  set(name, text) {
    this.#pending.set(name, text);
    this.#writing ??= this.#write();
  }

  /** Resolves when everything that was set is on the disk, or cannot be. */
  async settled() {
    while (this.#writing) await this.#writing;
  }

  /** What is there, as `[name, text]`; nothing where it cannot be read. */
  async entries() {
    try {
      const store = (await this.#opened).transaction(STORE).objectStore(STORE);
      const [names, texts] = await Promise.all([answer(store.getAllKeys()), answer(store.getAll())]);
      return names.map((name, k) => [name, texts[k]]);
    } catch {
      return [];
    }
  }

  async #write() {
    try {
      const database = await this.#opened;
      while (this.#pending.size) {
        const batch = this.#pending;
        this.#pending = new Map();
        await written(database, batch);
      }
    } catch {
      this.#pending.clear(); // full, or none: what is kept elsewhere has to do
    }
    this.#writing = null; // at once after the last look for more
  }
}

/** The journal of this browser; null where it has none. */
export function journalHere() {
  try {
    return new Journal(indexedDB, 'snellen');
  } catch {
    return null;
  }
}

function written(database, batch) {
  return new Promise((resolve, reject) => {
    const change = database.transaction(STORE, 'readwrite', { durability: 'strict' });
    const store = change.objectStore(STORE);
    for (const [name, text] of batch) text === null ? store.delete(name) : store.put(text, name);
    change.oncomplete = resolve;
    change.onabort = () => reject(change.error);
    change.commit();
  });
}

async function open(factory, name) {
  const request = factory.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return answer(request);
}

const answer = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

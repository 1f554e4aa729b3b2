// What can be undone: the verdicts that this tab gave, the last one last. It outlives a reload, but not the tab.

const MOST = 1000;

export class History {
  #entries = []; #memory; #name;

  /** memory: as sessionStorage, or null. */
  constructor(name, memory) {
    [this.#name, this.#memory] = [`snellen-undo/${name}`, memory];
    try {
      const found = JSON.parse(memory?.getItem(this.#name) ?? '[]');
      if (Array.isArray(found)) this.#entries = found;
    } catch {
      // Somebody else's.
    }
  }

  /** The last verdict of a reviewer on an image that is there; undefined where there is none. */
  last(reviewer, ids) {
    return this.#entries.findLast((one) => one.reviewer === reviewer && ids.has(one.id));
  }

  add(entry) {
    this.#set([...this.#entries, entry].slice(-MOST));
  }

  /** Takes an entry out; what was given in its place, if anything, stands where its predecessor stood. */
  remove(entry, key = null) {
    const others = this.#entries.filter((one) => one !== entry);
    const { before } = entry;
    this.#set(key && before ? others.map((one) => (one.key === before.key ? { ...one, key } : one)) : others);
  }

  #set(entries) {
    this.#entries = entries;
    try {
      this.#memory?.setItem(this.#name, JSON.stringify(entries));
    } catch {
      // Full: what was given before a reload cannot be undone after it.
    }
  }
}

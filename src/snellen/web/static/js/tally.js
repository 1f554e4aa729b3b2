// What stands of every image of a hard set, for one reviewer: what the server told, with what is not stored yet on top.
import { decided, progress, standing } from './standing.js';

const NONE = [];

export class Tally {
  #images = new Map(); #conflicts = new Map(); #ids;

  reviewer = '';
  /** What the server told of all together. */
  reviewers = []; agreement = []; alpha = null; torn = [];

  /** ids: of the images by position. unsent(id): verdicts that were given and are not stored yet. */
  constructor(ids, unsent) {
    [this.#ids, this.unsent] = [ids, unsent];
    /** Positions by id; how far the reviewer is with each (0 … 2, see `progress`); its `{status, conflict}`. */
    this.at = new Map(ids.map((id, row) => [id, row]));
    this.mine = new Int8Array(ids.length);
    this.states = ids.map(() => ({ status: 'undecided', conflict: false }));
  }

  /** The verdicts on an image that no other replaces. */
  standing(row) {
    const id = this.#ids[row];
    return standing(this.#images.get(id)?.standing ?? NONE, this.unsent(id));
  }

  /** Why stored verdicts on an image need a look. */
  conflictsOf(row) {
    return this.#conflicts.get(this.#ids[row]) ?? NONE;
  }

  /** The whole state, as the server tells it. */
  read({ images, conflicts, reviewers, agreement, alpha, torn }) {
    this.#images = new Map(Object.entries(images));
    this.#conflicts = new Map();
    this.#add(conflicts);
    Object.assign(this, { reviewers, agreement: agreement ?? [], alpha: alpha ?? null, torn: torn ?? [] });
    this.countAll();
  }

  /** What the server told of some images; their ids. */
  take({ images, conflicts }) {
    for (const [id, image] of Object.entries(images ?? {})) {
      this.#images.set(id, image);
      this.#conflicts.delete(id);
    }
    this.#add(conflicts ?? []);
    return Object.keys(images ?? {});
  }

  countAll() {
    for (let row = 0; row < this.#ids.length; row += 1) this.count(row);
  }

  /** Looks at an image again, after something was said of it. */
  count(row) {
    if (row === undefined) return; // of an image that this hard set has not
    const id = this.#ids[row];
    const unsent = this.unsent(id);
    const there = this.#images.get(id);
    const stand = there || unsent.length ? this.standing(row) : NONE;
    this.mine[row] = progress(stand, this.reviewer);
    this.states[row] = unsent.length ? decided(stand)
      : { status: there?.status ?? 'undecided', conflict: this.#conflicts.has(id) };
  }

  #add(conflicts) {
    for (const one of conflicts) this.#conflicts.set(one.id, [...(this.#conflicts.get(one.id) ?? []), one]);
  }
}

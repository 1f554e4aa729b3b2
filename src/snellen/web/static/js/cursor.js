// Where a reviewer is: the images to go through, in an order, and the one they are at.
import { listed, nextIn } from './standing.js';

export class Cursor {
  #tally; #suspect;

  /** An index into `list`, which holds positions of images. */
  place = 0; list = []; show = 'all'; sort = 'order';

  /** tally: a `Tally`. suspect(): scores by position, or undefined; they may come later. */
  constructor(tally, suspect) {
    [this.#tally, this.#suspect] = [tally, suspect];
    this.list = this.#listed();
  }

  /** The position under the cursor; null where the list is empty. */
  get row() {
    return this.list[this.place] ?? null;
  }

  /** Goes through other images, or in another order; stays at the same image where it is among them. */
  setList(show, sort) {
    const { row } = this;
    [this.show, this.sort] = [show, sort];
    this.list = this.#listed();
    this.place = Math.max(0, this.list.indexOf(row));
  }

  /** Goes to an image; one that is not in the list is put into it. False where there is none. */
  goTo(row) {
    if (!Number.isInteger(row) || row < 0 || row >= this.#tally.states.length) return false;
    if (!this.list.includes(row)) {
      const later = this.sort === 'order' ? this.list.findIndex((one) => one > row) : 0;
      this.list.splice(later < 0 ? this.list.length : later, 0, row);
    }
    this.place = this.list.indexOf(row);
    return true;
  }

  step(by) {
    this.place = (this.place + by + this.list.length) % this.list.length;
  }

  /** The place of the next image that waits for this reviewer: nothing said first, then `unsure`; null where there is none. */
  next() {
    const { mine, states } = this.#tally;
    const lists = { conflicts: [(row) => states[row].conflict], mine: [() => true] };
    for (const test of lists[this.show] ?? [(row) => mine[row] === 0, (row) => mine[row] === 1]) {
      const place = nextIn(this.list, this.place, test);
      if (place !== null && place !== this.place) return place;
    }
    return null;
  }

  /** Images that came to belong to the list join it, in their places; none goes while somebody is at it. */
  follow() {
    if (this.show === 'all') return;
    const { row } = this;
    this.list = this.#listed(new Set(this.list));
    this.place = Math.max(0, this.list.indexOf(row));
  }

  #listed(stay = new Set()) {
    const { states, mine } = this.#tally;
    const of = (row) => ({ ...states[row], mine: mine[row] });
    return listed(states.length, this.show, this.sort, of, this.#suspect(), stay);
  }
}

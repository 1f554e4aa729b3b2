// What the server says stands, taken into the tally of a reviewer: when it is asked, and as it answers what was sent.

export class Heard {
  #ask; #tally; #queue; #tag = null; #stored = 0; #asking = null; #gone = new Set();

  /** Whether it was heard at all, and why not the last time. */
  loaded = false; failure = '';

  /** ask(tag): resolves to `{tag, body}`, or null where nothing changed. onChange(): other things may stand now. */
  constructor({ ask, tally, queue, onChange }) {
    [this.#ask, this.#tally, this.#queue, this.onChange] = [ask, tally, queue, onChange];
  }

  /** Asks the server what stands. */
  refresh() {
    this.#asking ??= this.#refreshed().finally(() => { this.#asking = null; });
    return this.#asking;
  }

  /** What the server told of images whose verdicts it stored. */
  take(body) {
    this.#stored += 1;
    this.#tag = null;
    for (const id of this.#tally.take(body)) this.#tally.count(this.#tally.at.get(id));
    this.onChange();
  }

  /** Another page is rid of an unsent verdict; what became of it is asked. */
  async elsewhere(key) {
    this.#gone.add(key);
    await this.#asking; // it may have begun too early
    await this.refresh();
  }

  async #refreshed() {
    try {
      let [answer, before, gone] = [];
      do { // an answer from before a verdict was stored would take it out of sight
        [before, gone] = [this.#stored, [...this.#gone]];
        answer = await this.#ask(this.#tag);
      } while (before !== this.#stored);
      this.failure = '';
      if (answer) {
        this.#tag = answer.tag;
        this.#tally.read(answer.body);
      }
      for (const key of gone) this.#forget(key); // what other pages sent stands there now
      this.loaded = true;
    } catch (error) {
      this.failure = error?.told ? error.message : 'The server does not answer; what others say is not known at the moment.';
    }
    this.onChange();
  }

  #forget(key) {
    const id = this.#queue.waiting.get(key)?.id;
    this.#gone.delete(key);
    this.#queue.forget(key);
    this.#tally.count(this.#tally.at.get(id));
  }
}

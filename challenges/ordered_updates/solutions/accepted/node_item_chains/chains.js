// Work on changes: those of an item one after the other, those of different items side by side.

class Chains {
  /** `handle` works on a change; `fail` is told when that cannot be done. */
  constructor(handle, fail) {
    this.handle = handle;
    this.fail = fail;
    this.onDone = () => {};
    this.byItem = new Map(); // the first of each is in work
    this.open = new Map(); // by partition, in the order of their offsets
    this.ended = false;
  }

  add(work) {
    if (this.ended) return;
    if (!this.open.has(work.partition)) this.open.set(work.partition, []);
    this.open.get(work.partition).push(work);
    const { item } = work.change;
    if (this.byItem.has(item)) {
      this.byItem.get(item).push(work);
    } else {
      this.byItem.set(item, [work]);
      this.follow(item).catch(this.fail);
    }
  }

  /** Work on an item's changes until none is left. */
  async follow(item) {
    const chain = this.byItem.get(item);
    while (chain.length) {
      await this.handle(chain[0].change);
      chain.shift().done = true;
      this.onDone();
    }
    this.byItem.delete(item);
  }

  /** The last work of each partition before which all is done. */
  finished() {
    const last = [];
    for (const works of this.open.values()) {
      const count = works.findIndex((work) => !work.done);
      const done = works.splice(0, count < 0 ? works.length : count);
      if (done.length) last.push(done.at(-1));
    }
    return last;
  }

  /** Forget what is not begun, and whose place what is begun had. */
  drop() {
    for (const chain of this.byItem.values()) chain.splice(1);
    this.open.clear();
  }

  /** Take nothing more, drop what is not begun, and wait for what is, so long. */
  async end(milliseconds) {
    this.ended = true;
    for (const chain of this.byItem.values()) chain.splice(1);
    const until = Date.now() + milliseconds;
    while (this.byItem.size && Date.now() < until) {
      await new Promise((done) => setTimeout(done, 20));
    }
  }
}

module.exports = { Chains };

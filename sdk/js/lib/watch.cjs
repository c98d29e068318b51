"use strict";
const { Refusal } = require("./problem.cjs");
const { same } = require("./rights.cjs");

const watchEvery = 1_000; // milliseconds between two looks while the feed says nothing
const questionsMax = 16; // asked at once about what stays open; the next ones wait for the next look

/** Calls under way, which are ended when their tokens would be refused. */
class Watches {
  #open = new Set();
  #timer;
  #asking = 0;
  #looking; // soon
  #glance;
  #verify;

  /** glance says "ok", "ask" or a code at once; verify waits, and throws a Refusal. */
  constructor(glance, verify) {
    [this.#glance, this.#verify] = [glance, verify];
  }

  add(user, mutating) {
    const ending = new AbortController();
    const watch = { user, mutating, ending, asking: false };
    this.#open.add(watch);
    this.#timer ??= setInterval(() => this.#lookAtAll(), watchEvery).unref();
    this.#look(watch); // what has changed since the token was verified
    return { signal: ending.signal, release: () => this.#remove(watch) };
  }

  #remove(watch) {
    this.#open.delete(watch);
    if (this.#open.size === 0) this.close();
  }

  close() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Has everything looked at that is open: once for all the changes of a moment. */
  look() {
    if (this.#open.size === 0) return;
    this.#looking ??= setImmediate(() => this.#lookAtAll());
  }

  #lookAtAll() {
    this.#looking = undefined;
    for (const watch of this.#open) this.#look(watch);
  }

  #look(watch) {
    const code = this.#glance(watch.user, watch.mutating);
    if (code === "ask") this.#ask(watch);
    else if (code !== "ok") this.#end(watch, new Refusal(code));
  }

  async #ask(watch) {
    if (watch.asking || this.#asking >= questionsMax) return;
    watch.asking = true;
    this.#asking++;
    try {
      const user = await this.#verify(watch.user, watch.mutating);
      // What was let in by rights that are others now begins anew: nobody knows here
      // which of them it needs.
      if (!same(user.permissions, watch.user.permissions)) this.#end(watch, new Refusal("token_stale"));
      watch.user = user;
      // Those who wait have had their turn behind it.
      if (this.#open.delete(watch)) this.#open.add(watch);
    } catch (error) {
      if (error instanceof Refusal) this.#end(watch, error);
    } finally {
      watch.asking = false;
      this.#asking--;
    }
  }

  #end(watch, refusal) {
    if (!this.#open.has(watch)) return;
    this.#remove(watch);
    watch.ending.abort(refusal);
  }
}

module.exports = { Watches };

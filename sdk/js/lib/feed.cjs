"use strict";
const { isTexts } = require("./json.cjs");
const { lifeMax } = require("./token.cjs");

// What is remembered outlasts every token: one that is older has run out.
const memory = lifeMax + 2 * 60;
// Beyond so much all is forgotten, and tokens from before are asked about one by one.
const marksMax = 200_000;
const pruneEvery = 60;

// The types of events that can take something away. What is given reaches a user
// with the next token. An entry names whose rights it touches in its first event,
// which may be one that gives.
const followed = [
  "user.deactivated", "user.deleted", "session.ended", "key.changed",
  "organization.updated", "organization.deleted",
  "group.members_changed", "group.updated", "group.deleted", "group.unnested", "group.nested",
  "role.updated", "role.deleted", "role.unassigned", "role.assigned", "assignment.expired",
];

// They end the detail of a change of members.
const counts = /: [0-9]+ joined, [0-9]+ left$/;

/** What has been heard of the feed. No input or output; times are seconds. */
class Feed {
  floor = Infinity; // tokens from before it are unknown
  at = 0; // place to go on from
  ordinal;
  beat; // of the last heartbeat since the beginning
  #org = 0; // of the last change that may concern every token
  #users = new Map(); // those who are gone
  #touched = new Map(); // users whose rights have changed
  #sessions = new Map();
  #roles = new Map(); // by name, which is what tokens hold
  #groups = new Map();
  #names = new Map(); // of roles and groups, by id
  #pruned = 0;

  #marks() {
    return [this.#users, this.#touched, this.#sessions, this.#roles, this.#groups];
  }

  #forget(floor) {
    this.floor = floor;
    this.#org = 0;
    for (const map of [...this.#marks(), this.#names]) map.clear();
  }

  /** Follows from an index on. */
  start(index) {
    this.#forget(index);
    [this.at, this.ordinal, this.beat] = [index, undefined, undefined];
  }

  /** Takes one message, in order; of heartbeats those that are proven. Whether keys have changed. */
  hear(m, now) {
    switch (m.type) {
      case "row":
      case "closed":
        return false;
      case "resync":
        this.start(Infinity);
        this.at = 0;
        return false;
      case "synced":
        this.#forget(m.index);
        [this.at, this.ordinal, this.beat] = [m.index, undefined, undefined]; // a heartbeat follows, and proves it
        return true; // whatever has changed meanwhile
      case "heartbeat":
        this.beat = now;
        if (m.index >= this.at) [this.at, this.ordinal] = [m.index, undefined]; // one that has waited for its key may be older
        this.#prune(now);
        return false;
    }
    [this.at, this.ordinal] = [m.index, m.ordinal ?? 0];
    this.#note(m, { index: m.index, until: now + memory });
    if (this.#marks().reduce((n, marks) => n + marks.size, this.#names.size) > marksMax) this.#forget(m.index);
    return m.type === "key.changed";
  }

  #note(m, mark) {
    const [detail, touched] = [m.detail ?? "", m.user_ids ?? []];
    if (!isTexts(touched)) throw new TypeError("user_ids of the feed are no list of ids");
    // Whoever is named is reached whatever the type: it is by this alone that a
    // client's token, which names no roles and groups, is known to be stale.
    for (const user of touched) this.#touched.set(user, mark);
    if (m.everybody) this.#org = m.index;
    switch (m.type) {
      case "user.deactivated":
      case "user.deleted":
        this.#users.set(m.object, mark);
        break;
      case "session.ended":
        this.#sessions.set(m.object, mark);
        break;
      case "organization.updated":
      case "organization.deleted":
      case "group.deleted":
      case "group.unnested":
        this.#org = m.index; // groups in groups: tokens name only those that a user is in
        break;
      case "group.members_changed": {
        const name = detail.replace(counts, "");
        this.#groups.set(name, mark);
        this.#names.set(m.object, name);
        break;
      }
      case "group.updated":
        this.#rename(this.#groups, m, detail, mark);
        break;
      case "role.updated":
      case "role.deleted":
        this.#rename(this.#roles, m, detail, mark);
        break;
      case "role.unassigned":
      case "assignment.expired":
        for (const name of beforeFrom(detail)) this.#roles.set(name, mark);
    }
  }

  // Marks the old name, which older tokens hold, and the new one. An old name that
  // was never heard may be any.
  #rename(marks, m, name, mark) {
    const old = this.#names.get(m.object);
    if (old === undefined) this.#org = m.index;
    else marks.set(old, mark);
    marks.set(name, mark);
    this.#names.set(m.object, name);
  }

  #prune(now) {
    if (now - this.#pruned < pruneEvery) return;
    this.#pruned = now;
    for (const marks of this.#marks()) {
      for (const [id, mark] of marks) if (now > mark.until) marks.delete(id);
    }
  }

  /**
   * live, revoked, stale, unknown, or referred: by reference, and not told yet or changed
   * since. confirmed is the index at which a node vouched for what a token holds; of one
   * by reference counts when it was told.
   */
  judge(rights, confirmed) {
    const index = rights.referred ? rights.ri : Math.max(rights.ri, confirmed);
    if (this.#sessions.has(rights.sid) || this.#users.get(rights.sub)?.index > index) return "revoked";
    const named = this.#org > index || this.#touched.get(rights.sub)?.index > index;
    const changed = named || any(this.#roles, rights.roles, index) || any(this.#groups, rights.groups, index);
    if (rights.referred && (changed || !rights.told)) return "referred";
    if (changed) return "stale";
    return index < this.floor ? "unknown" : "live";
  }
}

const any = (marks, names, index) => marks.size > 0 && names.some((name) => marks.get(name)?.index > index);

// The names that "NAME from HOLDER" may begin with; names may hold the word, too.
function beforeFrom(detail) {
  const names = [];
  for (let i = detail.indexOf(" from "); i >= 0; i = detail.indexOf(" from ", i + 6)) names.push(detail.slice(0, i));
  return names;
}

module.exports = { Feed, followed };

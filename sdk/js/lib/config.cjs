"use strict";
const { readFileSync } = require("node:fs");
const { host, rehearsal } = require("./rehearsal.cjs");

const skewDefault = 5; // seconds
const skewMax = 60; // beyond it a clock is to be repaired, not tolerated

/** Options, with the environment for what they leave out, or a TypeError. */
function configure(options = {}, env = process.env) {
  const issuer = options.issuer ?? env.AUTHFI_ISSUER ?? "";
  if (!/^https:\/\/[^/]+\/o\/[^/]+$/.test(issuer)) fail(`the issuer ${JSON.stringify(issuer)} is not of the form https://HOST/o/SLUG`);
  // DNS knows no capitals, and a dot may end a name.
  if (!options[rehearsal] && new URL(issuer).hostname.replace(/\.$/, "") === host) fail(`${host} is the issuer of tests; only TestIssuer gives options that trust it`);
  const config = {
    issuer,
    audience: options.audience ?? (env.AUTHFI_AUDIENCE || issuer),
    org: options.org ?? env.AUTHFI_ORG ?? "",
    nodes: options.nodes ?? (env.AUTHFI_URL ? env.AUTHFI_URL.split(",") : [new URL(issuer).origin]),
    apiKey: options.apiKey ?? env.AUTHFI_TOKEN ?? "",
    posture: options.posture ?? (env.AUTHFI_POSTURE || "fresh"),
    skew: options.skew ?? skewDefault,
    ca: options.ca ?? (env.AUTHFI_CACERT ? readFileSync(env.AUTHFI_CACERT) : undefined),
    keySet: options.keySet,
    log: options.log ?? (() => {}),
  };
  config.nodes = config.nodes.map((node) => node.trim().replace(/\/+$/, ""));
  for (const node of config.nodes) if (!node.startsWith("https://")) fail(`${JSON.stringify(node)} is not an https URL of a node`);
  if (config.nodes.length === 0 || !config.audience) fail("a node and an audience are needed");
  if (!["fresh", "strict", "offline"].includes(config.posture)) fail(`the posture ${JSON.stringify(config.posture)} is not fresh, strict or offline`);
  if (config.posture !== "offline" && !(config.apiKey && config.org)) {
    fail("to follow the feed, the organization and an API key are needed; the posture offline needs neither");
  }
  if (!(config.skew >= 0 && config.skew <= skewMax)) fail(`a skew of ${config.skew} s is not within 0 and ${skewMax}`);
  return config;
}

function fail(what) {
  throw new TypeError(`authfi: ${what}`);
}

module.exports = { configure };

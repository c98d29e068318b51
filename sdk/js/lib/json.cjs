"use strict";

// A token has lists of strings, a key set one level more.
const depthMax = 16;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const strings = /"(?:[^"\\]|\\.)*"/g;

/**
 * Reads an object in which no name is there twice, on any level: two readers could
 * read two things out of it. Undefined if the bytes are anything else.
 */
function parseObject(bytes) {
  let text, value;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  // JSON.parse keeps the last of two names. A colon outside of strings stands for a
  // member, so fewer members than colons tell that one was dropped.
  const colons = text.replace(strings, "").split(":").length - 1;
  return members(value, depthMax) === colons ? value : undefined;
}

/** Members on all levels; NaN, which equals nothing, when nested too deep. */
function members(value, depth) {
  if (value === null || typeof value !== "object") return 0;
  if (depth === 0) return NaN;
  let n = 0;
  if (Array.isArray(value)) {
    for (const item of value) n += members(item, depth - 1);
    return n;
  }
  for (const name of Object.keys(value)) n += 1 + members(value[name], depth - 1);
  return n;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const has = (o, name) => Object.prototype.hasOwnProperty.call(o, name);
const isText = (value) => typeof value === "string" && value !== "";
const isTexts = (value) => Array.isArray(value) && value.every((item) => typeof item === "string");
const isNumber = (value) => typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER;

module.exports = { parseObject, isObject, has, isText, isTexts, isNumber };

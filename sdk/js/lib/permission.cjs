"use strict";

// The longest permission that a directory holds, in bytes; all of them are ASCII.
const permissionMax = 128;
const form = /^([a-z0-9._-]+):(\*|[a-z0-9._-]+)$/;

/** Whether p is of the form verb:noun in lower case, or verb:*. */
function isPermission(p) {
  return typeof p === "string" && p.length <= permissionMax && !p.includes("\n") && form.test(p);
}

/**
 * Whether a set of permissions allows p: by name, or by the wildcard of its verb. A
 * wildcard is granted by itself alone, and what is no permission by nothing.
 */
function allows(held, p) {
  if (!isPermission(p)) return false;
  if (held.has(p)) return true;
  const colon = p.indexOf(":");
  return p.slice(colon + 1) !== "*" && held.has(p.slice(0, colon) + ":*");
}

/** Stops a program that asks for what nobody can hold, or for nothing at all. */
function mustBePermissions(wanted) {
  if (wanted.length === 0) throw new TypeError("authfi: require needs a permission; authenticated needs none");
  for (const p of wanted) {
    if (!isPermission(p)) throw new TypeError(`authfi: ${JSON.stringify(p)} is not of the form verb:noun in lower case`);
  }
}

module.exports = { allows, isPermission, mustBePermissions };

"use strict";

const retrySeconds = "5";
const realm = 'Bearer realm="authfi"';
const bearerToken = /^[A-Za-z0-9._~+/=-]+$/;

// By code: status, title, detail, and what follows the realm in WWW-Authenticate. The
// detail says no more than the code: what exactly was wrong helps forgers.
const table = {
  unauthenticated: [401, "Unauthorized", "an access token is needed", ""],
  invalid_request: [400, "Bad Request", "the Authorization header is malformed", ', error="invalid_request"'],
  invalid_token: [401, "Unauthorized", "the access token is not valid", ', error="invalid_token"'],
  token_revoked: [401, "Unauthorized", "the session has ended", ', error="invalid_token", error_description="revoked"'],
  token_stale: [401, "Unauthorized", "permissions have changed; refresh the access token", ', error="invalid_token", error_description="stale"'],
  insufficient_permission: [403, "Forbidden", "a permission is missing", ', error="insufficient_scope"'],
  auth_unavailable: [503, "Service Unavailable", "who is asking cannot be told now; try again", undefined],
  permissions_unavailable: [503, "Service Unavailable", "what the access token permits cannot be told now; try again", undefined],
};

/** Why a request is not served, and the answer that says so (RFC 6750, RFC 9457). */
class Refusal extends Error {
  constructor(code, required = [], missing = []) {
    super(`authfi: ${code}`);
    this.name = "Refusal";
    this.code = code;
    this.required = required;
    this.missing = missing;
    this.status = table[code][0];
    this.title = table[code][1];
  }

  get headers() {
    const headers = { "content-type": "application/problem+json", "cache-control": "no-store" };
    const challenge = table[this.code][3];
    if (challenge === undefined) headers["retry-after"] = retrySeconds;
    else headers["www-authenticate"] = realm + challenge + (this.required.length > 0 ? `, scope="${this.required.join(" ")}"` : "");
    return headers;
  }

  get body() {
    const [status, title, detail] = table[this.code];
    const lists = this.code === "insufficient_permission" ? { required: this.required, missing: this.missing } : {};
    return JSON.stringify({ title, status, code: this.code, detail, ...lists });
  }

  /** Answers on a node http response, which Express's is, too. */
  send(res) {
    res.writeHead(this.status, this.headers);
    res.end(this.body);
  }
}

/** The one token of a request's Authorization headers; throws a Refusal. */
function bearer(headers) {
  if (headers.length > 1) throw new Refusal("invalid_request");
  const [scheme, ...rest] = (headers[0] ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer") throw new Refusal("unauthenticated");
  const token = rest.join(" ");
  if (token.includes("\n") || !bearerToken.test(token)) throw new Refusal("invalid_request");
  return token;
}

module.exports = { Refusal, bearer };

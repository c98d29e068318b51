"use strict";
const { Auth } = require("./auth.cjs");
const { allows } = require("./permission.cjs");
const { Refusal } = require("./problem.cjs");
const { User } = require("./token.cjs");

/** Begins to fetch keys and to follow the feed; does not wait for either. */
const authfi = (options) => new Auth(options);

module.exports = { authfi, Auth, Refusal, User, allows };

"use strict";
// Express takes the middleware of the core.
module.exports = require("./lib/index.cjs");

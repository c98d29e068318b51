"use strict";
// The one implementation is CommonJS, so that both kinds of modules share its state:
// two copies would be two caches and two streams.
module.exports = require("./lib/index.cjs");

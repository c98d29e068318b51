"use strict";
module.exports = require("./lib/next.cjs");

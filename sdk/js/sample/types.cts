// The same for CommonJS.
import authfi = require("@authfi/node");

const auth: authfi.Auth = authfi.authfi();
void auth.ready().then(() => auth.close());

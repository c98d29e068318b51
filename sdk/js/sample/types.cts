// The same for CommonJS.
import authfi = require("@authfi/node");
import administration = require("@authfi/node/admin");

const auth: authfi.Auth = authfi.authfi();
void auth.ready().then(() => auth.close());
void new administration.Admin().getStatus().then((status) => status.members.length);

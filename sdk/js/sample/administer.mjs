// Makes a user of the name given, says what is known of the user besides, and names
// everybody.
import { Admin, Problem } from "@authfi/node/admin";

const admin = new Admin(); // AUTHFI_URL, AUTHFI_TOKEN and AUTHFI_CACERT
const org_id = process.env.AUTHFI_ORG;

const user = await admin.createUser({ org_id, email: process.argv[2] });
try {
  await admin.updateUser({ id: user.id, title: "Dr." }, { ifVersion: user.version });
} catch (error) {
  if (error instanceof Problem && error.kind === "changed") console.error("somebody else has changed the user meanwhile");
  throw error;
}
for await (const { email, title } of admin.allUsers({ org_id, sort: "email" })) console.log(email, title);

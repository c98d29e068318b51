// Compiled in the tests and never run: the types say what is right and what is not.
import { createServer } from "node:http";
import express from "express";
import authfi, { Auth, Refusal, type User } from "@authfi/node";

type Permission = "read:patients" | "write:notes";

const auth: Auth<Permission> = authfi<Permission>({ posture: "strict", skew: 10 });
const app = express();

app.get("/patients", auth.require("read:patients", "write:notes"), (req, res) => {
  const user: User = req.user;
  res.json({ notes: user.can("write:notes"), roles: user.roles.length });
});
createServer(auth.protect((req, res) => res.end(String(req.user.can("write:notes"))), "read:patients"));

try {
  await auth.verify("token", { mutating: true });
} catch (error) {
  if (error instanceof Refusal && error.code === "token_stale") console.log(error.missing);
}

// @ts-expect-error: nobody holds what is misspelt
auth.require("read:patient");
// @ts-expect-error: a permission is needed
auth.require();
// @ts-expect-error: there is no such posture
authfi({ posture: "slack" });

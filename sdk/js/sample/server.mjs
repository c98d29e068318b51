// A protected service with Express, and one with node's own http.
import { createServer } from "node:http";
import express from "express";
import { authfi } from "@authfi/node";

const auth = authfi({ log: console.error }); // AUTHFI_ISSUER and the others
const app = express();

app.get("/patients", auth.require("read:patients"), (req, res) => {
  res.json({ user: req.user.id, notes: req.user.can("write:notes") });
});

const plain = createServer(
  auth.protect((req, res) => res.end(JSON.stringify({ user: req.user.id, notes: req.user.can("write:notes") })), "read:patients"),
);

await auth.ready();
const served = app.listen(0, "127.0.0.1", () => {
  plain.listen(0, "127.0.0.1", () => {
    console.log(`express http://127.0.0.1:${served.address().port}`);
    console.log(`http http://127.0.0.1:${plain.address().port}`);
  });
});

// Compiled in the tests and never run: the types say what is right and what is not.
import { createServer } from "node:http";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import type { NextRequest } from "next/server.js";
import authfi, { Auth, Refusal, type User } from "@authfi/node";
import { Admin, Problem, type User as Person } from "@authfi/node/admin";
import { authfi as fastifyAuthfi, type Protected } from "@authfi/node/fastify";
import { authfi as honoAuthfi, type Variables } from "@authfi/node/hono";
import { authfi as nextAuthfi, type Protected as InNext } from "@authfi/node/next";
import { TestIssuer } from "@authfi/node/testing";

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

// The adapters, with the permissions of the organization as `authfi types` writes them.
const fastifyAuth = fastifyAuthfi<Permission>();
fastify().get("/patients", { onRequest: fastifyAuth.require("read:patients") }, async (request) => (request as unknown as Protected<Permission>).user.can("write:notes"));
const honoAuth = honoAuthfi<Permission>();
new Hono<{ Variables: Variables<Permission> }>().get("/patients", honoAuth.require("read:patients"), (c) => c.json(c.get("user").can("write:notes")));
export const GET = nextAuthfi<Permission>().require("read:patients")((request: NextRequest & InNext<Permission>, _context: { params: Promise<{ id: string }> }) =>
  Response.json({ notes: request.user.can("write:notes"), path: request.nextUrl.pathname }),
);
const issuer = new TestIssuer<Permission>();
const test: Auth<Permission> = await issuer.auth({ posture: "strict" });
await issuer.revoke(issuer.signIn({ permissions: ["read:patients"] }));
const watch = test.watch(await test.verify("token"));
watch.signal.addEventListener("abort", watch.release);

const route: (request: NextRequest, context: { params: Promise<{ id: string }> }) => Promise<Response> = GET;
void route;

// @ts-expect-error: nobody holds what is misspelt
honoAuth.require("read:patient");
// @ts-expect-error: nor does a person of the tests
issuer.signIn({ permissions: ["read:patient"] });
// @ts-expect-error: a service's issuer is not chosen there
issuer.options({ issuer: "https://auth.example/o/clinic" });

// Administration.
const admin = new Admin({ nodes: ["https://n1.example"], token: "afk_1", patience: 5_000 });
const person: Person = await admin.createUser({ org_id: "org-1", email: "a@x.example" }, { idempotencyKey: "a" });
for await (const role of admin.allRoles({ org_id: "org-1" }, { newest: true })) console.log(role.permissions.length, person.created);
try {
  await admin.updateUser({ id: person.id, title: "Dr." }, { ifVersion: person.version });
} catch (error) {
  if (error instanceof Problem && error.kind === "changed") console.log(error.detail);
}
// @ts-expect-error: whom?
await admin.updateUser({ title: "Dr." });
// @ts-expect-error: there is no such field
await admin.createUser({ organization: "org-1" });
// @ts-expect-error: a list has no version
await admin.listUsers({ org_id: "org-1" }, { ifVersion: 1 });

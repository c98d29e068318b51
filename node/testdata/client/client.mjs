// A client that others wrote, in another language: Connect, gRPC and gRPC-Web over
// TLS. It knows the API by descriptors alone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";

const { AUTHFI_URL, AUTHFI_TOKEN, AUTHFI_CACERT, DESCRIPTORS } = process.env;
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(DESCRIPTORS)));
const service = (name) => registry.getService("authfi.v1." + name);
const problem = registry.getMessage("authfi.v1.Problem");
const nodeOptions = { ca: readFileSync(AUTHFI_CACERT) };
const bearer = (next) => (req) => {
  req.header.set("Authorization", "Bearer " + AUTHFI_TOKEN);
  return next(req);
};

async function story(name, transport) {
  const organizations = createClient(service("OrganizationService"), transport);
  const users = createClient(service("UserService"), transport);
  const groups = createClient(service("GroupService"), transport);
  const roles = createClient(service("RoleService"), transport);
  const assignments = createClient(service("AssignmentService"), transport);
  const permissions = createClient(service("PermissionService"), transport);

  const org = await organizations.createOrganization({ slug: "node-" + name, name });
  let index;
  const alice = await users.createUser(
    { orgId: org.id, email: "alice@example.org", displayName: "Alice Ng", attributes: { badge: 7 } },
    { onHeader: (h) => (index = h.get("X-Authfi-Index")) },
  );
  assert.match(index, /^[0-9]+$/);
  assert.equal(alice.userName, "alice@example.org");
  assert.equal(typeof alice.version, "bigint");
  assert.deepEqual(alice.attributes, { badge: 7 });
  const group = await groups.createGroup({ orgId: org.id, name: "doctors" });
  await groups.addGroupMembers({ id: group.id, userIds: [alice.id] });
  await roles.createRole({ orgId: org.id, name: "doctor", permissions: ["read:patients"] });
  const given = await assignments.assignGroupRole({ groupId: group.id, roleName: "doctor" });
  assert.deepEqual(given.permissions, ["read:patients"]);

  const check = await permissions.check({ userId: alice.id, permission: "read:patients" });
  assert.equal(check.allowed, true);
  assert.equal(check.source[0].via, "doctors");
  const held = await permissions.listPermissions({ userId: alice.id });
  assert.equal(held.source["read:patients"].sources[0].role, "doctor");

  for (let i = 0; i < 5; i++) await users.createUser({ orgId: org.id, email: `user-${i}@example.org` });
  const seen = new Set();
  let page, cursor = "";
  do {
    page = await users.listUsers({ orgId: org.id, limit: 2, cursor });
    page.users.forEach((u) => seen.add(u.id));
    cursor = page.cursor;
  } while (cursor !== "");
  assert.equal(seen.size, 6);
  assert.equal(page.total, 6);

  const refused = await users.createUser({ orgId: org.id, email: "ALICE@example.org" }).then(
    () => assert.fail("a name was taken twice"),
    (err) => ConnectError.from(err),
  );
  assert.equal(refused.code, Code.AlreadyExists);
  const [detail] = refused.findDetails(problem);
  assert.equal(detail.code, "conflict");
  assert.equal(detail.field, "user_name");

  const gone = await users.getUser({ id: "usr-" + "0".repeat(31) + "1" }).catch((err) => ConnectError.from(err));
  assert.equal(gone.code, Code.NotFound);
  const late = await (async () => {
    const endless = createClient(service("EventService"), transport).watch({ orgId: org.id }, { timeoutMs: 50 });
    for await (const _ of endless);
  })().catch((err) => ConnectError.from(err));
  assert.equal(late.code, Code.DeadlineExceeded);

  // The feed has what was done above, in order, and ends when we say so.
  const leave = new AbortController();
  const types = [];
  try {
    for await (const event of createClient(service("EventService"), transport).watch({ orgId: org.id }, { signal: leave.signal })) {
      types.push(event.type);
      if (event.type === "role.assigned") leave.abort();
    }
  } catch (err) {
    assert.equal(ConnectError.from(err).code, Code.Canceled);
  }
  assert.deepEqual(types.slice(0, 3), ["organization.created", "user.created", "group.created"]);

  const stranger = createClient(service("UserService"), strangers[name]);
  const unknown = await stranger.getUser({ id: alice.id }).catch((err) => ConnectError.from(err));
  assert.equal(unknown.code, Code.Unauthenticated);
  console.log(name + ": ok");
}

const makers = { connect: createConnectTransport, grpc: createGrpcTransport, "grpc-web": createGrpcWebTransport };
const strangers = {};
for (const [name, make] of Object.entries(makers)) {
  const options = { baseUrl: AUTHFI_URL, httpVersion: "2", nodeOptions };
  strangers[name] = make(options);
  await story(name, make({ ...options, interceptors: [bearer] }));
}
process.exit(0); // the connections would keep the process alive

// Uses `keepwatch simulate` through the vendor's unmodified Node SDK. tests/program/sdk.rs starts two simulators with
// scenario.toml, the second one on the free plan. It runs a copy of this script beside the node_modules that it
// installed. BROWSERBASE_BASE_URL (which the SDK reads) and FREE_BASE_URL name the simulators.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

import Browserbase from "@browserbasehq/sdk";

const BUSY = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
const PROJECT = process.env.BROWSERBASE_PROJECT_ID;

/** Asserts that `call` fails with the SDK's error class and HTTP status, and returns the error. */
async function refused(errorClass, status, call) {
  const error = await call().then(
    () => assert.fail(`no ${errorClass.name}`),
    (error) => error,
  );
  assert.ok(error instanceof errorClass, String(error));
  assert.deepEqual([error.status, error.error.statusCode], [status, status]);
  return error;
}

async function waitFor(bb, id, status) {
  const end = performance.now() + 30_000;
  for (;;) {
    const seen = (await bb.sessions.retrieve(id)).status;
    if (seen === status) return;
    assert.ok(performance.now() < end, `${id} stays ${seen}`);
    await pause(50);
  }
}

const bb = new Browserbase();

const created = await bb.sessions.create({
  projectId: PROJECT,
  keepAlive: true,
  timeout: 900,
  region: "eu-central-1",
  proxies: [{ type: "browserbase" }],
  browserSettings: { viewport: { width: 1280, height: 720 } },
  userMetadata: { owner: "sdk", run: { id: "7" } },
});
assert.deepEqual([created.status, created.keepAlive, created.region], ["PENDING", true, "eu-central-1"]);
assert.ok(created.connectUrl.startsWith("wss://") && created.seleniumRemoteUrl && created.signingKey);
assert.equal(Date.parse(created.expiresAt) - Date.parse(created.startedAt), 900_000);
await waitFor(bb, created.id, "RUNNING");

const retrieved = await bb.sessions.retrieve(created.id);
assert.deepEqual(retrieved.userMetadata, { owner: "sdk", run: { id: "7" } });
assert.notEqual(retrieved.signingKey, created.signingKey);

const ids = async (query) => (await bb.sessions.list(query)).map((it) => it.id).sort();
const both = [BUSY, created.id].sort();
assert.deepEqual(await ids(), both);
assert.deepEqual(await ids({ status: "RUNNING" }), both);
assert.deepEqual(await ids({ status: "ERROR" }), []);
assert.deepEqual(await ids({ q: "user_metadata['run']['id']:'7'" }), [created.id]);

const urls = await bb.sessions.debug(created.id);
assert.ok(urls.debuggerFullscreenUrl && urls.wsUrl && urls.pages[0].debuggerUrl);
assert.deepEqual(await bb.sessions.logs.list(created.id), []);
assert.equal((await bb.sessions.logs.list(BUSY))[0].method, "Page.navigate");

const other = await bb.sessions.create();
const full = await refused(Browserbase.RateLimitError, 429, () => bb.sessions.create({}, { maxRetries: 0 }));
assert.match(full.message, /max concurrent sessions limit \(limit 3, currently 3\)/);
assert.equal(full.headers["x-ratelimit-limit"], "3");
assert.ok(Number(full.headers["retry-after"]) > 0);

const releasing = await bb.sessions.update(created.id, { status: "REQUEST_RELEASE", projectId: PROJECT });
assert.equal(releasing.status, "RUNNING", "the release is immediate");
await waitFor(bb, created.id, "COMPLETED");
assert.equal((await bb.sessions.update(created.id, { status: "REQUEST_RELEASE" })).status, "COMPLETED");
assert.ok((await bb.sessions.retrieve(created.id)).endedAt);
await bb.sessions.update(other.id, { status: "REQUEST_RELEASE" });

await refused(Browserbase.NotFoundError, 404, () => bb.sessions.retrieve("no-such-session"));
// With `timeout` alone the SDK would treat the object as its own options and send no body.
const tooLong = await refused(Browserbase.BadRequestError, 400, () =>
  bb.sessions.create({ projectId: PROJECT, timeout: 21_601 }),
);
assert.equal(tooLong.error.message, "body/timeout must be <= 21600");
const free = new Browserbase({ baseURL: process.env.FREE_BASE_URL });
const noKeepAlive = await refused(Browserbase.PermissionDeniedError, 403, () =>
  free.sessions.create({ keepAlive: true }),
);
assert.equal(noKeepAlive.error.message, "Keep alive sessions are not supported on the FREE plan");

assert.deepEqual((await bb.projects.list()).map((it) => it.id), [PROJECT]);
const project = await bb.projects.retrieve(PROJECT);
assert.deepEqual([project.concurrency, project.defaultTimeout], [3, 300]);
const usage = await bb.projects.usage(PROJECT);
assert.ok(usage.browserMinutes >= 5 && usage.proxyBytes >= 240_000);

const { version } = JSON.parse(readFileSync("node_modules/@browserbasehq/sdk/package.json", "utf8"));
console.log(`@browserbasehq/sdk ${version}: works`);

// Uses `keepwatch simulate` through the vendor's unmodified command-line tools: `bb` (@browserbasehq/cli) and `browse`
// (browse).
//
// tests/program/sdk.rs starts three simulators and runs a copy of this script beside the node_modules that it installed.
// Variables name the simulators: BROWSERBASE_BASE_URL (which both tools read) and FREE_BASE_URL play scenario.toml, the
// second on the free plan, and FULL_BASE_URL plays full.toml.
//
// Covered: every subcommand of `bb sessions`, `bb projects`, `browse cloud sessions` and `browse cloud projects` that uses
// an endpoint of the simulator.
// Impossible without a browser: the subcommands of `browse` that drive one (`open`, `click`, `snapshot` …, with
// `--remote`, and the same under `bb browse`). They open the session's connect URL.
// Missing in the simulator, which responds with 404: `sessions recording`, `downloads`, `uploads`, and `contexts`,
// `extensions`, `functions`, `fetch` and `search`.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const BUSY = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
const PROJECT = process.env.BROWSERBASE_PROJECT_ID;

/** Runs a command and returns its exit code, standard output and standard error. */
function run(command, args) {
  return new Promise((done) => {
    execFile(`node_modules/.bin/${command}`, args, (error, out, err) =>
      done({ code: error ? error.code : 0, out, err }),
    );
  });
}

/**
 * Runs all checks with one tool. `name` is the owner of the sessions that it creates, `packageName` the npm package, and
 * the array the command with the words before each subcommand.
 */
async function checkTool(name, packageName, [command, ...verbs]) {
  const cli = (...args) => run(command, [...verbs, ...args]);
  const json = async (...args) => {
    const { code, out, err } = await cli(...args);
    assert.equal(code, 0, `${args.join(" ")}: ${err}${out}`);
    return JSON.parse(out);
  };
  const refused = async (words, ...args) => {
    const { code, out, err } = await cli(...args);
    assert.notEqual(code, 0, `${args.join(" ")} did not fail: ${out}`);
    assert.match(err + out, words, args.join(" "));
  };
  const waitFor = async (id, status) => {
    const end = performance.now() + 60_000;
    for (;;) {
      const seen = (await json("sessions", "get", id)).status;
      if (seen === status) return;
      assert.ok(performance.now() < end, `${id} stays ${seen}`);
      await pause(50);
    }
  };

  const metadata = JSON.stringify({ userMetadata: { owner: name } });
  const created = await json(
    ...["sessions", "create", "--keep-alive", "--timeout", "900", "--region", "eu-central-1", "--body", metadata],
  );
  assert.deepEqual([created.keepAlive, created.region], [true, "eu-central-1"]);
  await waitFor(created.id, "RUNNING");
  const ids = async (...args) => (await json("sessions", "list", ...args)).map((it) => it.id);
  assert.deepEqual((await ids()).filter((id) => id === BUSY || id === created.id).length, 2);
  assert.deepEqual(await ids("--q", `user_metadata['owner']:'${name}'`), [created.id]);
  assert.ok((await json("sessions", "debug", created.id)).debuggerFullscreenUrl);
  assert.deepEqual(await json("sessions", "logs", created.id), []);

  const other = await json("sessions", "create");
  // The tool's SDK retries twice, after the server's retry-after. With full.toml that is a second or two.
  await refused(
    /max concurrent sessions limit \(limit 1, currently \d\)/,
    ...["sessions", "create", "--base-url", process.env.FULL_BASE_URL],
  );
  assert.equal((await json("sessions", "update", other.id)).id, other.id);
  await waitFor(other.id, "COMPLETED");
  await json("sessions", "update", created.id, "--status", "REQUEST_RELEASE");
  await waitFor(created.id, "COMPLETED");

  await refused(/Session with id no-such-session not found/, "sessions", "get", "no-such-session");
  await refused(
    /Keep alive sessions are not supported on the FREE plan/,
    ...["sessions", "create", "--keep-alive", "--base-url", process.env.FREE_BASE_URL],
  );
  assert.deepEqual((await json("projects", "list")).map((it) => it.id), [PROJECT]);
  assert.equal((await json("projects", "get", PROJECT)).concurrency, 3);
  assert.ok((await json("projects", "usage", PROJECT)).browserMinutes >= 5);

  const { version } = JSON.parse(readFileSync(`node_modules/${packageName}/package.json`, "utf8"));
  console.log(`${packageName} ${version}: works`);
}

await checkTool("bb", "@browserbasehq/cli", ["bb"]);
await checkTool("browse", "browse", ["browse", "cloud"]);

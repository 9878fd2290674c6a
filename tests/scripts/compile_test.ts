import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { BUN_VERSION } from "../../scripts/bun.ts";
import { run } from "../support/process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** All that is embedded may be this large, in bytes. */
const MAX_EMBEDDED_BYTES = 5_000_000;

async function compile(output: string, ...args: string[]) {
  return await run(
    Deno.execPath(),
    ["run", "-A", "--quiet", `${root}scripts/compile.ts`, ...args, "--output", output],
    // Any program stands in for Deno's runtime base, which is a download: what
    // is put on it is the same, only that it can't be run.
    { env: { DENORT_BIN: Deno.execPath(), NO_COLOR: "1" }, timeoutMs: 180_000 },
  );
}

Deno.test("compile on Deno's base: embeds the bundles, with the least permissions", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const output = `${folder}/fibrpc`;
    const { code, stderr } = await compile(output, "--base", "deno");
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, `deno ${Deno.version.deno}`);
    const [base, result] = await Promise.all([Deno.stat(Deno.execPath()), Deno.stat(output)]);
    const embedded = result.size - base.size;
    assert(embedded > 100_000 && embedded < MAX_EMBEDDED_BYTES, `${embedded} bytes are embedded`);
    const bytes = await Deno.readFile(output);
    const added = new TextDecoder().decode(bytes.subarray(base.size));
    assertStringIncludes(added, "Awaiting RPC requests");
    assertStringIncludes(added, "compute_worker.js");
    assertStringIncludes(added, '"allow_net":[]');
    assertStringIncludes(added, '"allow_run":[]'); // `serve -- command`.
    assertStringIncludes(added, '"allow_write":[]'); // `serve --health-file`.
    // Packages of the tests stay out (deno.json, which names them, is embedded too).
    assertEquals(added.includes("asyncProperty"), false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("compile on Bun's base: a binary that isn't the known one is not run", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const project = `${folder}/project`;
    const files = ["deno.json", "deno.lock", "mod.ts", "scripts", "src", "tests"];
    await Deno.mkdir(project);
    await run("cp", ["-R", ...files.map((file) => `${root}${file}`), project]);
    for (const platform of ["linux-x64", "linux-aarch64", "darwin-x64", "darwin-aarch64"]) {
      const own = `${project}/.fibrpc/@oven+bun-${platform}-${BUN_VERSION}`;
      const bin = `${own}/node_modules/@oven/bun-${platform}/bin`;
      await Deno.mkdir(bin, { recursive: true });
      await Deno.writeTextFile(`${bin}/bun`, `#!/bin/sh\ntouch ${folder}/run\n`, { mode: 0o755 });
    }
    const args = ["run", "-A", "--quiet", `${project}/scripts/compile.ts`, "--base", "bun"];
    // What isn't in Deno's cache can't be had.
    const proxy = "http://127.0.0.1:9";
    const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_COLOR: "1" };
    const { code, stderr } = await run(Deno.execPath(), args, { env, timeoutMs: 180_000 });
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "Could not get the npm package @oven/bun-");
    const left = Array.from(Deno.readDirSync(folder), ({ name }) => name);
    assertEquals(left, ["project"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("compile: refuses what it doesn't know, and says what it does", async () => {
  const { code, stderr } = await compile("unused", "--target", "z80");
  assertEquals(code, 2);
  assertStringIncludes(stderr, "x86_64-unknown-linux-gnu");
});

import { assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { childVariables, findProgram } from "../../src/cli/options/child.ts";
import { FakeProcess } from "./fake_process.ts";

async function kept(
  variables: Record<string, string>,
  connect: Parameters<typeof childVariables>[1] = {},
): Promise<string[]> {
  const process = new FakeProcess();
  Object.assign(process.env, variables);
  const child = await childVariables(process, connect);
  for (const [name, value] of Object.entries(child)) assertEquals(value, variables[name]);
  return Object.keys(child).sort();
}

Deno.test("childVariables: fibrpc's own are left out, others are kept", async () => {
  const variables = {
    PATH: "/bin",
    HOME: "/root",
    FIBRPC_URL: "x",
    FIBRPC_NEW: "x",
    AMQP_URL: "x",
  };
  assertEquals(await kept(variables), ["HOME", "PATH"]);
});

Deno.test("childVariables: nothing with a password of the broker's, wherever that is from", async () => {
  const variables = {
    PATH: "/bin",
    SAME: "sword&fish",
    WITHIN: "login with sword&fish please",
    ENCODED: "q=sword%26fish",
    OTHERS: "amqps://user:secret@elsewhere",
    HARMLESS: "amqp://elsewhere",
  };
  const url = "amqp://user:sword%26fish@broker";
  assertEquals(await kept(variables, { url }), ["HARMLESS", "PATH"]);
  const credentials = () => Promise.resolve({ password: "sword&fish" });
  assertEquals(await kept(variables, { credentials }), ["HARMLESS", "PATH"]);
});

Deno.test("childVariables: a short password, or guest's, hides no more than itself", async () => {
  const variables = { PATH: "/bin:/usr/bin", SECRET: "bin", NAME: "guest" };
  assertEquals(await kept(variables, { url: "amqp://u:bin@b" }), ["NAME", "PATH"]);
  assertEquals(await kept(variables, { url: "amqp://guest:guest@b" }), ["NAME", "PATH", "SECRET"]);
});

Deno.test("findProgram: as a shell finds it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, mode] of [["plain", 0o644], ["tool", 0o755]] as const) {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}/run`, "", { mode });
    }
    assertEquals(
      findProgram("run", `/nowhere:${folder}/plain:${folder}/tool`),
      `${folder}/tool/run`,
    );
    // What can't be looked at, which is seen by every user here, is skipped.
    await Deno.symlink(`${folder}/loop`, `${folder}/loop`);
    const unseen = `${folder}/loop:${folder}/${"x".repeat(300)}:${folder}/tool/run`;
    assertEquals(findProgram("run", `${unseen}:${folder}/tool`), `${folder}/tool/run`);
    assertEquals(findProgram(`${folder}/tool/run`, ""), `${folder}/tool/run`);
    assertThrows(() => findProgram("run", `${folder}/plain`), RpcError, "may not be executed");
    assertThrows(() => findProgram("run", folder), RpcError, "was not found on the PATH");
    assertThrows(() => findProgram(`${folder}/tool`), RpcError, "was not found");
    assertThrows(() => findProgram("a\u001b[31m"), RpcError, '"a\\u001b[31m"');
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

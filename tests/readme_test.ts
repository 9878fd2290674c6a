import { assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { sharedBroker, uniqueQueue } from "./support/broker.ts";
import { run } from "./support/process.ts";

const broker = await sharedBroker();
const root = new URL("../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", root));

/** The README's TypeScript, on the tests' broker and on queues of their own. */
const blocks = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => {
  const url = `url: ${JSON.stringify(broker.url)}`;
  const all = uniqueQueue("readme");
  const own = (name: string) => `queue: ${JSON.stringify(`${all}-${name}`)}`;
  return code!.includes("queue:")
    ? code!.replaceAll(/queue: "(\w+)"/g, (_, name) => own(name)).replaceAll(/url: "[^"]+"/g, url)
    : code!.replaceAll(/url: "[^"]+"/g, `${url}, ${own("default")}`);
});

for (const [index, code] of blocks.entries()) {
  Deno.test(`README: example ${index + 1} has the right types and prints what it says`, async () => {
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    try {
      await Deno.writeTextFile(file, code);
      const expected = [...code.matchAll(/console\.log\(.*\/\/ (.*)$/gm)].map(([, text]) => text);
      const { code: exitCode, stdout, stderr } = await run(Deno.execPath(), [
        "run",
        "--check",
        "--quiet",
        "--allow-net",
        "--allow-env",
        `--config=${fileURLToPath(new URL("deno.json", root))}`,
        file,
      ], { env: { NO_COLOR: "1" } });
      assertEquals(exitCode, 0, stderr);
      assertEquals(stdout.trim().split("\n"), expected);
      assertEquals(expected.length > 0, true);
    } finally {
      await Deno.remove(file);
    }
  });
}

Deno.test("README: names every option of the command line", async () => {
  for (const command of ["serve", "call"]) {
    const { stdout } = await run(Deno.execPath(), [
      "run",
      "-A",
      "--quiet",
      fileURLToPath(new URL("src/cli/main.ts", root)),
      command,
      "--help",
    ]);
    const options = [...stdout.matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name!);
    assertEquals(options.length > 5, true, stdout);
    for (const option of options.filter((name) => name !== "--help")) {
      assertStringIncludes(readme, option);
    }
  }
});

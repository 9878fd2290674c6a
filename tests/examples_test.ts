/** The examples, run as they are written: a server, and calls that print what follows the `#`. */
import { assertEquals } from "@std/assert";
import { sharedBroker, uniqueQueue } from "./support/broker.ts";
import { fibrpcCommand } from "./support/fibrpc_command.ts";
import { run, spawn } from "./support/process.ts";

const broker = await sharedBroker();
const examples = new URL("../examples/", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", examples));

const SECTION = /^## (.+)$[^]*?^```sh\n([^]*?)^```$/gm;
const QUEUE = /--queue (\w+)/;

for (const [, title, script] of readme.matchAll(SECTION)) {
  Deno.test(`example: ${title}`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const { command, args } = fibrpcCommand();
      const words = [command, ...args].map((word) => `'${word}'`).join(" ");
      await Deno.writeTextFile(`${folder}/fibrpc`, `#!/bin/sh\nexec ${words} "$@"\n`, {
        mode: 0o755,
      });
      for (const { name } of Deno.readDirSync(examples)) {
        if (name.endsWith(".py")) await Deno.copyFile(new URL(name, examples), `${folder}/${name}`);
      }
      const queue = uniqueQueue("example");
      const env = {
        FIBRPC_URL: broker.url,
        FIBRPC_QUEUE: queue,
        // The system's Python, whatever else there is.
        PATH: `${folder}:/usr/bin:/bin:${Deno.env.get("PATH")}`,
      };
      const [server, ...lines] = script!.trim().split("\n").map((line) =>
        line.replace(QUEUE, `--queue ${queue}`)
      );
      const options = { cwd: folder, env };
      await using serving = spawn("sh", ["-c", `exec ${server!.replace(/ &$/, "")}`], options);
      await serving.waitForStderr(/Awaiting RPC requests/);
      for (const line of lines) {
        const [shell, expected = ""] = line.split(/ +# /);
        const { code, stdout, stderr } = await run("sh", ["-c", shell!], options);
        assertEquals([code, stdout.trim().split(/\s+/).join(" ")], [0, expected], stderr);
      }
      serving.kill("SIGTERM");
      assertEquals((await serving.waitForExit()).code, 0);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

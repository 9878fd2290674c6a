import { assertEquals, assertMatch } from "@std/assert";
import { run } from "../support/process.ts";

const ROOT = new URL("../../", import.meta.url);

/** Tries once to start a server that may not use the network. */
const PROGRAM = `
  import { FibonacciServer } from "${new URL("mod.ts", ROOT)}";
  const server = new FibonacciServer({ url: Deno.args[0] });
  await server.start().catch(({ code, message }) => console.log(code, message));
  await server.close();
`;

for (const host of ["127.0.0.1", "localhost", "broker.example"]) {
  for (const scheme of ["amqp", "amqps"]) {
    Deno.test(`a server without the permission to use the network ends: ${scheme}://${host}`, async () => {
      const file = await Deno.makeTempFile({ suffix: ".ts" });
      try {
        await Deno.writeTextFile(file, PROGRAM);
        const config = new URL("deno.json", ROOT).pathname;
        const args = ["run", "--no-prompt", "--no-check", "--allow-read", "--config", config, file];
        const { stdout, stderr } = await run(Deno.execPath(), [...args, `${scheme}://${host}`]);
        assertMatch(stdout, /^permission_denied this program may not connect to /, stderr);
        assertEquals(stdout.includes(host), true, stdout);
      } finally {
        await Deno.remove(file);
      }
    });
  }
}

/** `localhost` is loopback of either family, wherever the broker listens. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { startBroker, uniqueQueue } from "../support/broker.ts";
import { CommandLine } from "./command_line.ts";

for (const listen of ["127.0.0.1", "::1"] as const) {
  Deno.test({
    name: `localhost: serve and call find a broker that listens on ${listen} only`,
    ignore: !canListen(listen),
    async fn() {
      await using broker = await startBroker({ listen });
      const url = `amqp://localhost:${broker.port}`;
      const fibrpc = new CommandLine(url);
      const queue = uniqueQueue("localhost");
      await using server = await fibrpc.serve(queue);
      assertStringIncludes(server.stderr, `localhost:${broker.port}`);
      const { code, stdout, stderr } = await fibrpc.run(["call", "30", "--queue", queue]);
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: "832040\n", stderr: "" });
    },
  });
}

/** A machine may have no IPv6. */
function canListen(hostname: string): boolean {
  try {
    Deno.listen({ hostname, port: 0 }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrNotAvailable) return false;
    throw error;
  }
}

/** `localhost` is loopback of either family, wherever the broker listens. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { startProxy } from "../support/proxy.ts";
import { CommandLine } from "./command_line.ts";

const broker = await sharedBroker();

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test({
    name: `localhost: serve and call find a broker that listens on ${hostname} only`,
    ignore: !canListen(hostname),
    async fn() {
      await using proxy = await startProxy(Number(new URL(broker.url).port || 5672), { hostname });
      const url = new URL(broker.url);
      url.host = `localhost:${proxy.port}`;
      const fibrpc = new CommandLine(url.href);
      const queue = uniqueQueue("localhost");
      await using server = await fibrpc.serve(queue);
      assertStringIncludes(server.stderr, url.host);
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

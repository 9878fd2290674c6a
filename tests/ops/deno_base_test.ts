/** What runs on Deno's base with the permissions of the executable, and nothing else. */
import { assertEquals, assertMatch } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { makeCertificates } from "../support/certificates.ts";
import { fibrpcOnDeno } from "../support/deno_bundle.ts";
import { run, spawn } from "../support/process.ts";
import { CLIENT, SERVER, startReceiver } from "../support/span_receiver.ts";
import { listenTls } from "../support/tls_listener.ts";
import { waitFor } from "../support/wait.ts";
import { get } from "./monitored.ts";

Deno.test("Deno's base: serve --http --health-file, and traces of both ends", async () => {
  const { url } = await sharedBroker();
  const { command, args } = await fibrpcOnDeno();
  await using receiver = await startReceiver();
  const env = {
    FIBRPC_URL: url,
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_BSP_SCHEDULE_DELAY: "100",
  };
  const queue = uniqueQueue("deno");
  const healthFile = await Deno.makeTempFile();
  await using server = spawn(
    command,
    [...args, "serve", "--queue", queue, "--http", "0", "--health-file", healthFile],
    { env },
  );
  await server.waitForStderr(/Awaiting RPC requests/);
  const [, http] = await server.waitForStderr(/page are at (http:[^"\s]+)/);
  const { code, stdout } = await run(command, [...args, "call", "30", "--queue", queue], { env });
  assertEquals([code, stdout], [0, "832040\n"]);
  await waitFor(() => receiver.spans.length === 2, { what: "two spans" });
  assertEquals(receiver.spans.map(({ kind }) => kind).sort(), [SERVER, CLIENT]);
  const [, metrics] = await get(`${http}/metrics`);
  assertMatch(metrics, /^fibrpc_requests_total\S* 1$/m);
  assertMatch(metrics, /^process_resident_memory_bytes \d{7,}$/m);
  assertEquals([...metrics.matchAll(/^process_\w+ 0$/gm)].map(([line]) => line), []);
  assertEquals((await get(`${http}/`))[0], 200);
  server.kill("SIGTERM");
  assertEquals((await server.waitForExit()).code, 0);
  assertEquals(await Deno.stat(healthFile).then(() => "there", () => "gone"), "gone");
});

Deno.test("Deno's base: bench, and doctor's look at a certificate", async () => {
  const { url } = await sharedBroker();
  const { command, args } = await fibrpcOnDeno();
  const own = ["bench", "--own-server", "--warm-up", "0", "--calls", "100"];
  const { code, stdout } = await run(command, [...args, ...own], { env: { FIBRPC_URL: url } });
  assertEquals(code, 0);
  assertMatch(stdout, /^calls {8}100 sent .* 100 answered .* 0 errors$/m);
  assertMatch(stdout, /^client {7}\d+\.\d\d processors, \d+ MiB/m);

  await using files = await makeCertificates();
  await using listener = listenTls(files.server);
  const env = { FIBRPC_URL: `amqps://localhost:${listener.port}` };
  const found = await run(command, [...args, "doctor", "--tls-ca", files.ca], { env });
  assertMatch(
    found.stdout,
    /^\[ok\] {3}certificate {2}for localhost, .*issued by ca, .* days left/m,
  );
});

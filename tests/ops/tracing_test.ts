import { assert, assertEquals } from "@std/assert";
import { CommandLine, READY } from "../cli/command_line.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import {
  attributes,
  CLIENT,
  ERROR,
  SERVER,
  type Span,
  startReceiver,
} from "../support/span_receiver.ts";
import { waitFor } from "../support/wait.ts";

const { url } = await sharedBroker();
const fibrpc = new CommandLine(url);

Deno.test("traces: one from the caller over the server to its command, and back on the reply", async () => {
  await using receiver = await startReceiver();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "100" };
  const queue = uniqueQueue("traced");
  const script = 'cat >/dev/null; printf %s "$TRACEPARENT"; echo "in $TRACEPARENT" >&2';
  await using server = fibrpc.spawn(
    ["serve", "--queue", queue, "--log-level", "debug", "--", "sh", "-c", script],
    { env },
  );
  await server.waitForStderr(READY);
  const args = ["call", "--queue", queue, "--body", "x", "--output", "json"];
  const { code, stdout } = await fibrpc.run(args, { env });
  assertEquals(code, 0);
  const result = JSON.parse(stdout);
  const [client, served] = await waitFor(() => {
    const found = [CLIENT, SERVER].map((kind) => receiver.spans.find((span) => span.kind === kind));
    return found.every((span) => span !== undefined) && (found as Span[]);
  }, { what: "two spans" });
  assertEquals(served!.traceId, client!.traceId);
  assertEquals(served!.parentSpanId, client!.spanId);
  assertEquals([client!.name, served!.name], [`call ${queue}`, `process ${queue}`]);
  const common = {
    "messaging.system": "rabbitmq",
    "messaging.destination.name": queue,
    "messaging.rabbitmq.destination.routing_key": queue,
    "messaging.message.conversation_id": result.requestId,
    "server.address": new URL(url).hostname,
    "server.port": Number(new URL(url).port),
  };
  assertEquals(attributes(client!), {
    ...common,
    "messaging.operation.name": "call",
    "messaging.operation.type": "send",
  });
  assertEquals(attributes(served!), {
    ...common,
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
  });
  const own = `00-${client!.traceId}-${served!.spanId}-01`;
  assertEquals(result.body, own);
  assertEquals(result.headers.traceparent, own);
  const [line] = await server.waitForStderr(/^.*"fibrpc\.command".*$/m);
  assertEquals(JSON.parse(line!).traceId, client!.traceId);
  assertEquals(JSON.parse(line!).requestId, result.requestId);
  const [request] = await server.waitForStderr(/^.*"fibrpc\.request".*$/m);
  assertEquals(JSON.parse(request!).traceId, client!.traceId);
});

Deno.test("traces: errors have their codes; what came twice and what came too late are events", async () => {
  await using receiver = await startReceiver();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "100" };
  const queue = uniqueQueue("traced");
  const script = 'read -r how; case $how in slow) sleep 1;; *) exit "$how";; esac';
  await using peer = await RawChannel.open(url);
  await peer.declare(queue);
  { // A consumer that dies with its request.
    await using other = await RawChannel.open(url);
    await other.channel.basicConsume(queue, { noAck: false }, () => {});
    await peer.send(queue, "0\n");
    await waitFor(async () => (await peer.look(queue)).messages === 0, { what: "the delivery" });
  }
  await using server = fibrpc.spawn(["serve", "--queue", queue, "--", "sh", "-c", script], { env });
  await server.waitForStderr(READY);
  const call = ["call", "--queue", queue];
  assertEquals((await fibrpc.run([...call, "--body", "65\n"], { env })).code, 1);
  const late = ["--body", "slow\n", "--timeout", "300ms"];
  assertEquals((await fibrpc.run([...call, ...late], { env })).code, 4);
  const spans = await waitFor(() => receiver.spans.length === 5 && receiver.spans, {
    what: "five spans",
  });
  const seen = spans.map((span) =>
    [
      span.kind,
      attributes(span)["error.type"],
      span.status.code,
      span.events.map(({ name }) => name).filter((name) => name !== "connecting"),
    ].flat()
  ).map(String).sort();
  assertEquals(
    seen,
    [
      [SERVER, undefined, 0, "redelivered"],
      [SERVER, "internal", ERROR, "too late: nobody waits for the reply"],
      [SERVER, "invalid_argument", ERROR],
      [CLIENT, "deadline_exceeded", ERROR],
      [CLIENT, "invalid_argument", ERROR],
    ].map(String).sort(),
  );
});

Deno.test("traces: a process's own trace goes on in its calls, also without a collector", async () => {
  const queue = uniqueQueue("traced");
  const script = 'cat >/dev/null; printf "%s %s" "$TRACEPARENT" "$TRACESTATE"';
  await using server = await fibrpc.serve(queue, "--", "sh", "-c", script);
  const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const call = async (env: Record<string, string>) =>
    (await fibrpc.run(["call", "--queue", queue, "--body", ""], { env })).stdout;
  assertEquals(await call({ TRACEPARENT, TRACESTATE: "a=b" }), `${TRACEPARENT} a=b`);
  assertEquals(await call({ TRACEPARENT: `${TRACEPARENT}0`, TRACESTATE: "a=b" }), " ");
  await using receiver = await startReceiver();
  await call({ TRACEPARENT, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  const [{ traceId, parentSpanId }] = receiver.spans as [Span];
  assertEquals(TRACEPARENT.includes(`${traceId}-${parentSpanId}`), true);
  assert(server.stderr.length > 0);
});

Deno.test("traces: a collector that is away costs one warning, and no call", async () => {
  const queue = uniqueQueue("traced");
  await using _server = await fibrpc.serve(queue);
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" };
  const args = ["call", "1..20", "--queue", queue, "--log-level", "warning"];
  const { code, stdout, stderr } = await fibrpc.run(args, { env });
  assertEquals([code, stdout.split("\n").length], [0, 21]);
  assertEquals(stderr.match(/spans are lost/g)?.length, 1, stderr);
});

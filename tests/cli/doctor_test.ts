import { assert, assertEquals, assertMatch } from "@std/assert";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Broker, startBroker, uniqueQueue } from "../support/broker.ts";
import { type Issued, makeCertificates } from "../support/certificates.ts";
import { run } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { listenTls } from "../support/tls_listener.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine } from "./command_line.ts";

/** Of the network for documentation. */
const GUEST_ADDRESS = "192.0.2.7";

/** Whether there are network namespaces: on Linux, unless a container's rules forbid them. */
const hasNamespaces = Deno.build.os === "linux" &&
  (await run("unshare", [...(Deno.uid() === 0 ? [] : ["--map-root-user"]), "--net", "ip", "link"])
      .catch(() => ({ code: 1 }))).code === 0;

interface Finding {
  check: string;
  status: string;
  text: string;
  action?: string;
}

/** What doctor finds, and its exit code. */
async function examine(
  url: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<{ code: number; found: Finding[]; bad: Finding[]; output: string }> {
  const options = { env };
  const { code, stdout, stderr } = await new CommandLine(url).run(
    ["doctor", "--output", "json", ...args],
    options,
  );
  assertEquals(stderr, "");
  const found = stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  const bad = found.filter(({ status }) => status === "fail" || status === "warn");
  for (const { action, text } of bad) assert(action, `no action: ${text}`);
  return { code, found, bad, output: stdout };
}

/** The first failure, in one line. */
function failure({ bad }: { bad: Finding[] }): string {
  const found = bad.find(({ status }) => status === "fail");
  return found === undefined ? "" : `${found.check}: ${found.text} -> ${found.action}`;
}

/** What a check found first, in one line. */
function of(found: Finding[], check: string): string {
  const { status, text, action } = found.find((finding) => finding.check === check)!;
  return `${status}: ${text}${action === undefined ? "" : ` -> ${action}`}`;
}

/** A listener that does one thing with each connection. */
async function listener(
  onConnection: (socket: Socket) => void,
): Promise<{ readonly port: number; connections: number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    found.connections += 1;
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const found = {
    port: (server.address() as AddressInfo).port,
    connections: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return found;
}

const CASES_WITHOUT_BROKER: [what: string, url: () => string, expected: RegExp][] = [
  ["no such name", () => "amqp://no-such-host.invalid", /^name: .*no address.*-> correct the host/],
  [
    "a closed port",
    () => "amqp://127.0.0.1:1",
    /^connect: .*refuses connections -> start RabbitMQ/,
  ],
];

for (const [what, url, expected] of CASES_WITHOUT_BROKER) {
  Deno.test(`doctor: ${what}`, async () => {
    const result = await examine(url());
    assertMatch(failure(result), expected);
    assertEquals(result.code, 3);
    assertEquals(result.found.find(({ check }) => check === "queue")!.status, "skip");
  });
}

Deno.test("doctor: ports that hang, or speak something else", async () => {
  {
    await using silent = await listener(() => {});
    const url = `amqp://127.0.0.1:${silent.port}`;
    const result = await examine(url);
    assertMatch(failure(result), /^login: .*no answer.* -> look whether a broker is at that port/);
    assertEquals(result.code, 3);
    for (const args of [["doctor"], ["status"], ["status", "--watch"]]) {
      await using program = new CommandLine(url).spawn(args);
      await waitFor(() => silent.connections > 0, { what: "a connection" });
      silent.connections = 0;
      program.kill("SIGINT");
      assertEquals((await program.waitForExit()).code, 130, args.join(" "));
    }
  }
  {
    await using http = await listener((socket) =>
      socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))
    );
    const result = await examine(`amqp://127.0.0.1:${http.port}`);
    assertMatch(failure(result), /^login: .*AMQP.* -> use the AMQP port, 5672/);
  }
});

Deno.test("doctor: TLS", async (t) => {
  await using files = await makeCertificates();
  await using broker = await startBroker({ tls: { ca: files.ca, ...files.server } });
  const plain = new URL(broker.url);
  const secure = new URL(broker.tlsUrl);
  const ca = ["--tls-ca", files.ca];
  await t.step("plain on a TLS port", async () => {
    const url = `amqp://guest:guest@localhost:${secure.port}`;
    assertMatch(failure(await examine(url)), /^login: .* -> begin the URL with amqps:/);
  });
  await t.step("TLS on a plain port", async () => {
    const url = `amqps://guest:guest@localhost:${plain.port}`;
    assertMatch(failure(await examine(url, ca)), /^login: .* -> use the broker's TLS port/);
  });
  await t.step("an unknown authority", async () => {
    assertMatch(
      failure(await examine(secure.href)),
      /-> name the authority's certificate with --tls-ca/,
    );
  });
  for (
    const [what, issued, action, seen] of [
      [
        "another host's certificate",
        files.wrongHost,
        /-> use a host name that the certificate has/,
        /^warn: for elsewhere\.example, issued by ca, .*1 day left/,
      ],
      [
        "an expired certificate",
        files.expired,
        /-> renew the broker's certificate/,
        /^warn: .*, expired on \d{4}-\d\d-\d\d -> renew/,
      ],
    ] as [string, Issued, RegExp, RegExp][]
  ) {
    await t.step(what, async () => {
      await using listener = listenTls(issued);
      const result = await examine(`amqps://localhost:${listener.port}`, ca);
      assertMatch(failure(result), action);
      assertMatch(of(result.found, "certificate"), seen);
      assertEquals(result.code, 3);
    });
  }
  await t.step("a good one", async () => {
    const { found } = await examine(secure.href, ca);
    assertEquals(found.find(({ check }) => check === "login")!.status, "ok");
    assertMatch(
      of(found, "certificate"),
      /^ok: for localhost, 127\.0\.0\.1, .*, issued by ca, valid until \d{4}-.*, (59|60) days left; TLSv1/,
    );
  });
  await t.step("the client's own", async () => {
    const own = ["--tls-cert", files.client.cert, "--tls-key", files.client.key];
    const { found } = await examine(secure.href, [...ca, ...own]);
    const [, second] = found.filter(({ check }) => check === "certificate");
    assertMatch(
      of([second!], "certificate"),
      /^warn: the client's: for client\.example, .*, 1 day left -> renew the client certificate/,
    );
  });
  await t.step("one that ends soon", async () => {
    await using listener = listenTls(files.byName);
    const { found } = await examine(`amqps://localhost:${listener.port}`, ca);
    assertMatch(
      of(found, "certificate"),
      /^warn: for localhost, issued by ca, .*, 1 day left.* -> renew the broker's certificate/,
    );
  });
});

Deno.test({
  name: "doctor: guest from another host",
  ignore: !hasNamespaces,
  async fn() {
    // Nothing outside of its network namespace reaches that address.
    const { code, stdout, stderr } = await run("unshare", [
      ...(Deno.uid() === 0 ? [] : ["--map-root-user"]),
      "--net",
      "sh",
      "-ec",
      'ip link set lo up; ip address add "$1/32" dev lo; shift; exec "$@"',
      "sh",
      GUEST_ADDRESS,
      Deno.execPath(),
      "run",
      "--quiet",
      "--allow-all",
      fileURLToPath(new URL("guest_from_elsewhere.ts", import.meta.url)),
      GUEST_ADDRESS,
    ]);
    assertEquals([code, stderr], [0, ""]);
    const found: Finding[] = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertMatch(of(found, "connect"), /^ok: 192\.0\.2\.7 port/);
    assertMatch(
      of(found, "login"),
      /^fail: .*refused user "guest".* -> use another user: guest may/,
    );
  },
});

Deno.test("doctor: a broker, and what can be wrong with it", async (t) => {
  await using broker: Broker = await startBroker({ management: true });
  const queue = uniqueQueue("doctor");
  const url = (user: string, password: string, vhost = "") => {
    const changed = new URL(broker.url);
    changed.username = user;
    changed.password = password;
    if (vhost !== "") changed.pathname = vhost;
    return changed.href;
  };
  const own = ["--queue", queue];

  await t.step("no queue: exit code 5", async () => {
    const result = await examine(broker.url, own);
    assertMatch(
      failure(result),
      /^queue: .*does not exist -> start a server: fibrpc serve --queue/,
    );
    assertEquals(result.code, 5);
  });
  await t.step("no consumer, and what waits", async () => {
    await using peer = await RawChannel.open(broker.url);
    await peer.declare(queue);
    for (let i = 0; i < 3; i++) await peer.send(queue, "1");
    const result = await examine(broker.url, own);
    assertMatch(failure(result), /^queue: .*0 consumers, 3 waiting.* -> start a server/);
    assertEquals(result.code, 5);
    await peer.channel.queueDelete(queue);
  });
  await t.step("all is well, and a call", async () => {
    await using _server = await new CommandLine(broker.url).serve(queue);
    const result = await examine(broker.url, [...own, "--call", "30"]);
    assertEquals([result.code, failure(result)], [0, ""]);
    assertMatch(result.found.at(-1)!.text, /^fib\(30\) was answered in/);
    const order = [...new Set(result.found.map(({ check }) => check))];
    const { stdout } = await new CommandLine(broker.url).run(["doctor", "--list"]);
    assertEquals(order, stdout.trim().split("\n"));
    const text = await new CommandLine(broker.url).run(["doctor", ...own]);
    assertEquals(text.code, 0);
    assertMatch(text.stdout, /^\[ok\] {3}login +user guest on vhost \/: RabbitMQ \d/m);
    assert(text.stdout.split("\n").every((line) => !line.includes("guest:")));
    const one = await examine(broker.url, [...own, "--only", "queue"]);
    assertEquals(one.found.map(({ check }) => check), ["queue"]);
    const none = await new CommandLine(broker.url).run(["doctor", "--only", "quueue"]);
    assertEquals(none.code, 2);
  });
  await t.step("a backlog", async () => {
    await using peer = await RawChannel.open(broker.url);
    const slow = uniqueQueue("backlog");
    await peer.declare(slow);
    await peer.channel.basicQos(1);
    await peer.channel.basicConsume(slow, { noAck: false }, () => {});
    for (let i = 0; i < 150; i++) await peer.send(slow, "1");
    const { bad } = await examine(broker.url, ["--queue", slow, "--only", "queue"]);
    assertMatch(bad[0]!.action!, /start more servers/);
  });
  await t.step("suspects", async () => {
    await using peer = await RawChannel.open(broker.url);
    await using _server = await new CommandLine(broker.url).serve(queue);
    await peer.channel.basicPublish("", `${queue}.suspects`, "x");
    const { bad } = await examine(broker.url, [...own, "--only", "suspects"]);
    assertMatch(bad.map(({ action }) => action).join(), /took its server with it/);
    await peer.channel.queuePurge(`${queue}.suspects`);
  });
  await t.step("a wrong password, which is not shown", async () => {
    const result = await examine(url("guest", "s3cret-word"), own);
    assertMatch(
      failure(result),
      /^login: .*refused user "guest".* -> correct the password.*authenticate_user guest/,
    );
    assertEquals([result.code, result.output.includes("s3cret-word")], [3, false]);
    await broker.ctl("add_user", "worker", "pw-of-worker");
    const other = await examine(url("worker", "s3cret-word"), own);
    assertMatch(failure(other), /-> correct the password.*authenticate_user worker/);
  });
  await t.step("no vhost; a vhost that is not this user's", async () => {
    const missing = await examine(url("guest", "guest", "/nowhere"), own);
    assertMatch(failure(missing), /^login: .*nowhere.* -> correct the vhost/);
    const closed = await examine(url("worker", "pw-of-worker"), own);
    assertMatch(failure(closed), /^login: .* -> give the user access to the vhost/);
  });
  await t.step("no right to read, none to write", async () => {
    await broker.ctl("set_permissions", "worker", ".*", ".*", "^$");
    const read = await examine(url("worker", "pw-of-worker"), own);
    const replies = read.found.find(({ check }) => check === "replies")!;
    if (replies.status === "fail") assertMatch(replies.action!, /let the user read/);
    await broker.ctl("set_permissions", "worker", ".*", "^$", ".*");
    const write = await examine(url("worker", "pw-of-worker"), own);
    assertMatch(failure(write), /^replies: .* -> let the user write to .*amq.*default/);
    assertEquals(write.code, 3);
  });
  await t.step("too many connections", async () => {
    await broker.ctl("set_permissions", "worker", ".*", ".*", ".*");
    await broker.ctl("set_user_limits", "worker", '{"max-connections": 0}');
    const result = await examine(url("worker", "pw-of-worker"), own);
    assertMatch(failure(result), /^login: .*limit.* -> close connections/);
    await broker.ctl("clear_user_limits", "worker", "all");
  });
  await t.step("an alarm", async () => {
    await broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB");
    const result = await examine(broker.url, own);
    assertMatch(failure(result), /^replies: .*takes no messages.* -> free memory or disk/);
    assertEquals(result.code, 3);
    await broker.ctl("set_vm_memory_high_watermark", "0.4");
  });
  await t.step("the management port", async () => {
    const { port } = new URL(broker.management.url);
    const result = await examine(`amqp://127.0.0.1:${port}`, own);
    assertMatch(failure(result), /^login: .* -> use the AMQP port, 5672/);
  });
  await t.step("what the management API knows: policies, another type", async () => {
    const api = new URL(broker.management.url);
    const management = ["--management", `http://127.0.0.1:${api.port}`, "--only", "policy"];
    await using _server = await new CommandLine(broker.url).serve(queue);
    const good = await examine(broker.url, [...own, ...management]);
    assertEquals(good.found.map(({ status }) => status), ["ok"]);
    const policies: [definition: string, found: RegExp][] = [
      ['{"max-length":5}', /dropped, the oldest first/],
      ['{"max-length":5,"overflow":"reject-publish"}', /refused/],
      ['{"message-ttl":1000}', /older requests are dropped/],
      ['{"expires":600000}', /deleted when no server was there so long/],
      ['{"dead-letter-exchange":""}', /come back to the queue/],
      [
        `{"dead-letter-exchange":"","dead-letter-routing-key":"${queue}"}`,
        /come back to the queue/,
      ],
    ];
    for (const [definition, expected] of policies) {
      await broker.ctl("set_policy", "tight", `^${queue}$`, definition, "--apply-to", "queues");
      const { bad } = await waitFor(async () => {
        const result = await examine(broker.url, [...own, ...management]);
        return expected.test(result.bad[0]?.text ?? "") && result;
      }, { what: definition });
      assertMatch(bad[0]!.action!, /remove .* from the policy tight/);
    }
    await broker.ctl("clear_policy", "tight");
    await using peer = await RawChannel.open(broker.url);
    const stream = uniqueQueue("stream");
    const args = { "x-queue-type": "stream" };
    await peer.channel.queueDeclare(stream, { durable: true, autoDelete: false }, args);
    const single = uniqueQueue("single");
    const one = { "x-single-active-consumer": true };
    await peer.channel.queueDeclare(single, { durable: true, autoDelete: false }, one);
    for (
      const [name, action] of [
        [stream, /let serve declare a queue/],
        [single, /let serve declare it/],
      ] as const
    ) {
      await peer.channel.basicQos(1);
      await peer.channel.basicConsume(name, { noAck: false }, () => {});
      const { bad } = await waitFor(async () => {
        const result = await examine(broker.url, ["--queue", name, ...management]);
        return result.bad.length > 0 && result;
      }, { what: "the queue in the API" });
      assertMatch(bad[0]!.action!, action);
    }
    const wrong = await examine(broker.url, [
      ...own,
      "--only",
      "policy",
      "--management",
      "http://127.0.0.1:1",
    ]);
    assertMatch(wrong.bad[0]!.text, /does not answer/);
    const { code, stderr } = await new CommandLine(broker.url).run(["doctor", "--management", "x"]);
    assertEquals(code, 2);
    assertMatch(stderr, /such as http:/);
  });
  await t.step("a misspelt variable; --strict", async () => {
    const env = { FIBRPC_QUEU: "q", FIBRPC_MAX_N: "5" };
    const { bad, code } = await examine(broker.url, ["--only", "settings", "--strict"], env);
    const own = bad.map(({ text }) => text).filter((text) =>
      !/FIBRPC_(TEST|RABBITMQ4)_/.test(text)
    );
    assertEquals(own, ["variable FIBRPC_QUEU (the environment)"]);
    assertEquals(code, 1);
  });
});

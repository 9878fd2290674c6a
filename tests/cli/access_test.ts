/** Passwords from files, and users who may do no more than they need. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Broker, sharedBroker, startBroker, uniqueQueue } from "../support/broker.ts";
import { run } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine, READY } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine("");

const QUEUE = "rpc_queue";

/** Every character that a URL gives a meaning to. */
const PASSWORD = "p@:/?#[]% &=,amqp://€'\"\\";

async function withFile(
  content: string | Uint8Array | undefined,
  test: (file: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  try {
    const file = `${folder}/password`;
    if (typeof content === "string") await Deno.writeTextFile(file, content);
    else if (content !== undefined) await Deno.writeFile(file, content);
    await test(file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The broker's URL with its user, and without the password. */
function withoutPassword(url: string): { url: string; password: string } {
  const changed = new URL(url);
  const password = decodeURIComponent(changed.password) || "guest";
  changed.password = "";
  return { url: changed.href, password };
}

Deno.test("--password-file: the first line is the password of URLs that have none", async () => {
  const { url, password } = withoutPassword(broker.url);
  const wrong = new URL(broker.url);
  wrong.password = "wrong";
  const queue = uniqueQueue("access");
  for (const [mark, rest] of [["", ""], ["", "\n"], ["\ufeff", "\r\n"], ["", "\nsecond line\n"]]) {
    await withFile(`${mark}${password}${rest}`, async (file) => {
      const args = ["--queue", queue, "--url", url, "--password-file", file];
      await using server = fibrpc.spawn(["serve", ...args]);
      await server.waitForStderr(READY);
      const { code, stdout, stderr } = await fibrpc.run(["call", "30", ...args]);
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: "832040\n", stderr: "" });

      const env = { FIBRPC_PASSWORD_FILE: file };
      const byEnvironment = ["call", "30", "--queue", queue, "--url", url];
      assertEquals((await fibrpc.run(byEnvironment, { env })).code, 0);
      // A password in the URL comes first, and the option before the variable.
      const byUrl = ["call", "30", "--queue", queue, "--url", wrong.href];
      assertEquals((await fibrpc.run(byUrl, { env })).code, 3);
      const both = { env: { FIBRPC_PASSWORD_FILE: `${file}-missing` } };
      assertEquals((await fibrpc.run(["call", "30", ...args], both)).code, 0);
    });
  }
});

Deno.test("--password-file: applies to each of several URLs", async () => {
  const { url, password } = withoutPassword(broker.url);
  const queue = uniqueQueue("access");
  await using server = new CommandLine(broker.url).spawn(["serve", "--queue", queue]);
  await server.waitForStderr(READY);
  await withFile(password, async (file) => {
    const urls = `amqp://nobody@127.0.0.1:1,${url}`;
    const args = ["call", "30", "--queue", queue, "--password-file", file];
    assertEquals((await fibrpc.run(args, { env: { FIBRPC_URL: urls } })).code, 0);
    const repeated = ["--url", "amqp://nobody@127.0.0.1:1", "--url", url];
    assertEquals((await fibrpc.run([...args, ...repeated])).code, 0);
  });
});

Deno.test("--password-file: a usage error names the file, and tells nothing of it", async () => {
  const secret = "hunter2";
  const wrong: [string | Uint8Array | undefined, RegExp][] = [
    [
      Uint8Array.from(`\ufeff${secret}`, (character) => character.charCodeAt(0)),
      /--password-file ".*\/password" is not text in UTF-8/,
    ],
    [`${secret}\x1b[A\n`, /--password-file ".*\/password" has a control character in its first/],
    ["x".repeat(1024 * 1024 + 1), /--password-file ".*\/password" is longer than 1048576 bytes/],
    [undefined, /can't read --password-file ".*\/password"/],
    ["", /--password-file ".*\/password" has no password in its first line/],
    [`\n${secret}\n`, /--password-file ".*\/password" has no password in its first line/],
  ];
  for (const [content, message] of wrong) {
    await withFile(content, async (file) => {
      for (const command of [["call", "30"], ["serve"]]) {
        const args = [...command, "--url", "amqp://127.0.0.1:1", "--password-file", file];
        const { code, stdout, stderr } = await fibrpc.run(args);
        assertEquals({ code, stdout }, { code: 2, stdout: "" }, stderr);
        assertMatch(stderr, message);
        assert(!stderr.includes(secret), stderr);
      }
    });
  }
});

Deno.test("--password-file: may be a pipe, as a shell makes them; one without an end is refused", async () => {
  const { url, password } = withoutPassword(broker.url);
  const queue = uniqueQueue("access");
  await using _server = await new CommandLine(broker.url).serve(queue);
  await withFile(undefined, async (file) => {
    assertEquals((await run("mkfifo", [file])).code, 0);
    await using call = fibrpc.spawn([
      "call",
      "30",
      "--queue",
      queue,
      "--url",
      url,
      "--password-file",
      file,
    ]);
    await Deno.writeTextFile(file, `${password}\n`);
    assertEquals(await call.waitForExit(), { code: 0, signal: null });
    assertEquals(call.stdout, "832040\n");
  });
  const { code, stderr } = await fibrpc.run(["call", "30", "--password-file", "/dev/zero"]);
  assertEquals(code, 2);
  assertMatch(stderr, /--password-file "\/dev\/zero"/);
});

Deno.test("--password-file: a password that was changed is read at the next connection", async () => {
  await using own = await startBroker({ management: true });
  const user = "rotating";
  const setPassword = (password: string) =>
    own.management.request("PUT", `users/${user}`, { password, tags: "" });
  await setPassword("first");
  const permissions = { configure: ".*", write: ".*", read: ".*" };
  await own.management.request("PUT", `permissions/%2F/${user}`, permissions);
  const { url } = withoutPassword(own.url.replace("guest:", `${user}:`));
  await withFile("first\n", async (file) => {
    const args = ["--queue", QUEUE, "--url", url, "--password-file", file];
    await using server = fibrpc.spawn(["serve", ...args]);
    await server.waitForStderr(READY);
    await using call = fibrpc.spawn(["call", "-", ...args], { stdin: "piped" });
    await call.write("1\n");
    await call.waitForStdout(/^1$/m);
    const names = ["fibrpc serve@", "fibrpc call@"];
    await waitFor(async () => {
      const connections = await own.connections();
      return names.every((name) => connections.some((one) => one.clientName?.startsWith(name)));
    }, { what: "both connections to be listed" });

    await setPassword("second");
    await Deno.writeTextFile(file, ""); // Half written.
    await own.management.closeConnections();
    await server.waitForStderr(/has no password in its first line/);
    await Deno.writeTextFile(file, "second\n");
    await server.waitForStderr(/(Awaiting RPC requests[^]*){2}/);
    await call.write("30\n");
    await call.waitForStdout(/^832040$/m);
    assert(!/first|second/.test(server.stderr.replaceAll("its first line", "")), server.stderr);
  });
});

Deno.test("--tls-*: a usage error says which file, and what is wrong", async () => {
  await withFile("no certificate", async (file) => {
    const wrong: [string[], RegExp][] = [
      [["--tls-ca", `${file}-missing`], /can't read --tls-ca ".*-missing"/],
      [["--tls-ca", file], /--tls-ca ".*\/password" holds no PEM certificate/],
      [["--tls-cert", file], /--tls-cert ".*" needs .*: --tls-key/],
      [["--tls-key", file], /--tls-key ".*" needs .*: --tls-cert/],
      [["--tls-cert", file, "--tls-key", file], /--tls-cert ".*" holds no PEM certificate/],
    ];
    for (const [args, message] of wrong) {
      const { code, stderr } = await fibrpc.run([
        "call",
        "30",
        "--url",
        "amqps://[::1]:1",
        ...args,
      ]);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, message);
      const plain = await fibrpc.run(["call", "30", "--url", "amqp://[::1]:1", ...args]);
      assertEquals(plain.code, 2, plain.stderr);
      assertMatch(plain.stderr, /--tls-\w+ protects nothing without .*amqps:\/\//);
    }
  });
});

Deno.test("access: a wrong password is refused at once, and not shown", async () => {
  const { url } = withoutPassword(broker.url);
  await withFile(PASSWORD, async (file) => {
    const call = ["call", "30", "--timeout", "1h", "--connect-timeout", "1h"];
    for (const command of [call, ["serve"]]) {
      const args = [...command, "--url", url, "--password-file", file];
      const { code, stderr } = await fibrpc.run(args);
      assertEquals(code, 3, stderr);
      assertMatch(stderr, /unauthenticated/);
      for (const form of [PASSWORD, encodeURIComponent(PASSWORD), "€", "%E2"]) {
        assert(!stderr.includes(form), stderr);
      }
    }
  });
});

/** The permissions that the README gives its users, by user. */
async function permissionsInReadme(): Promise<Map<string, string[]>> {
  const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const lines = readme.matchAll(/^rabbitmqctl set_permissions (\S+) '(.*)' '(.*)' '(.*)'$/gm);
  return new Map([...lines].map(([, user, ...permissions]) => [user!, permissions]));
}

/** Makes a user with these permissions. */
async function addUser(broker: Broker, user: string, permissions: string[]): Promise<void> {
  await broker.management.request("PUT", `users/${user}`, { password: PASSWORD, tags: "" });
  const [configure, write, read] = permissions;
  await broker.management.request("PUT", `permissions/%2F/${user}`, { configure, write, read });
}

Deno.test("access: the README's permissions are enough, and no more than needed", async (t) => {
  const permissions = await permissionsInReadme();
  await using own = await startBroker({ management: true });
  for (const [user, needed] of permissions) await addUser(own, user, needed);
  const [server, client] = ["fibrpc-server", "fibrpc-client"];
  const [worker, queueClient] = ["fibrpc-worker", "fibrpc-queue-client"];
  assertEquals([...permissions.keys()], [server, client, worker, queueClient]);

  const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  await using _folder = {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  const passwordFile = `${folder}/password`;
  await Deno.writeTextFile(passwordFile, PASSWORD);
  const as = (user: string) => {
    const { url } = withoutPassword(own.url.replace("guest:", `${user}:`));
    const [commandLine, password] = [new CommandLine(url), ["--password-file", passwordFile]];
    return {
      run: (args: string[]) => commandLine.run([...args, ...password]),
      serve: (queue: string) => commandLine.serve(queue, ...password),
    };
  };
  const { url: guest } = own;
  const deleteQueue = async () => {
    await using operator = await RawChannel.open(guest);
    await operator.channel.queueDelete(QUEUE);
    await operator.channel.queueDelete(`${QUEUE}.suspects`);
  };
  const answer = { code: 0, stdout: "832040\n", stderr: "" };
  const call = async (user: string, ...args: string[]) => {
    const { code, stdout, stderr } = await as(user).run(["call", "30", ...args]);
    return { code, stdout, stderr };
  };

  await t.step("a server that declares its queue, and its clients", async () => {
    await using _server = await as(server).serve(QUEUE);
    assertEquals(await call(client), answer);
    assertEquals(await call(client, "--require-server"), answer);
    assertEquals(await call(queueClient, "--reply", "queue"), answer);
  });

  await t.step("a suspect finds its way", async () => {
    await deleteQueue();
    await suspect(guest);
    await using peer = await RawChannel.open(guest);
    await peer.send(QUEUE, "30", { correlationId: "beside" });
    await using _server = await as(server).serve(QUEUE);
    await peer.waitForReplies(1);
    await waitFor(async () => await own.queue(`${QUEUE}.suspects`), {
      what: "the suspects' queue",
    });
    await waitFor(async () => (await own.queue(`${QUEUE}.suspects`))?.messages === 0, {
      what: "the suspect to be served",
    });
    await waitFor(async () => (await own.queue(QUEUE))?.messages === 0, { what: "no request" });
  });

  await t.step("a worker that may not declare: served from an operator's queue", async () => {
    await deleteQueue();
    const refused = await as(worker).run(["serve"]);
    assertEquals(refused.code, 3);
    assertMatch(refused.stderr, /can't declare rpc_queue: ACCESS_REFUSED.*permission_denied/);
    await suspect(guest, 20);
    await using server = await as(worker).serve(QUEUE);
    assertEquals(await call(client), answer);
    await waitFor(async () => (await own.queue(QUEUE))?.messages === 0, { what: "no request" });
    const warning = /can't use rpc_queue\.suspects: .*can't be found/;
    await server.waitForStderr(warning);
    assertEquals(server.stderr.split(warning).length, 2, server.stderr);
  });

  await t.step("a client can't read requests, declare queues, or act as a server", async () => {
    const consuming = await as(client).run(["serve"]);
    assertEquals(consuming.code, 3);
    assertMatch(consuming.stderr, /can't consume rpc_queue: ACCESS_REFUSED.*permission_denied/);
    const queue = await call(client, "--reply", "queue");
    assertEquals({ ...queue, stderr: "" }, { code: 3, stdout: "", stderr: "" });
    assertMatch(queue.stderr, /permission_denied: can't declare a reply queue/);
  });

  /** Every pattern of every user, taken away alone: something doesn't work then. */
  await t.step("without any of them, it is refused at once", async () => {
    // Who tried again would not end.
    const patient = ["--timeout", "1h", "--connect-timeout", "1h"];
    const queueArgs = [...patient, "--reply", "queue"];
    const cases: [user: string, place: number, run: (name: string) => Promise<number>][] = [
      [server, 0, async (name) => {
        await deleteQueue();
        return (await as(name).run(["serve"])).code;
      }],
      [server, 1, async (name) => (await as(name).run(["serve"])).code],
      [server, 2, async (name) => (await as(name).run(["serve"])).code],
      [worker, 1, async (name) => (await as(name).run(["serve"])).code],
      [worker, 2, async (name) => (await as(name).run(["serve"])).code],
      [client, 1, async (name) => (await call(name, ...patient)).code],
      [queueClient, 0, async (name) => (await call(name, ...queueArgs)).code],
      [queueClient, 1, async (name) => (await call(name, ...queueArgs)).code],
      [queueClient, 2, async (name) => (await call(name, ...queueArgs)).code],
    ];
    for (const [user, place, run] of cases) {
      const name = `${user}-without-${place}`;
      await addUser(own, name, permissions.get(user)!.map((old, at) => at === place ? "^$" : old));
      assertEquals(await run(name), 3, name);
    }
  });

  await t.step(
    "a server that may not publish replies is permission_denied, not ready",
    async () => {
      const { stderr } = await as(`${server}-without-1`).run(["serve"]);
      assertMatch(stderr, /can't publish replies: ACCESS_REFUSED.*amq\.default.*permission_denied/);
      assert(!READY.test(stderr), stderr);
    },
  );

  await t.step("a call that may not publish, or read replies, is permission_denied", async () => {
    const publishing = await call(`${client}-without-1`);
    assertMatch(publishing.stderr, /^fibrpc: permission_denied: .*fib\(30\).*amq\.default/);
    const reading = await call(`${queueClient}-without-2`, "--reply", "queue");
    assertMatch(reading.stderr, /^fibrpc: permission_denied: .*refused.*amq\.gen-/);
  });
});

/** Leaves requests in the queue that were delivered before, to somebody who went away. */
async function suspect(url: string, count = 1): Promise<void> {
  await using operator = await RawChannel.open(url);
  await operator.declare(QUEUE);
  for (let i = 0; i < count; i++) {
    await operator.send(QUEUE, "30", { correlationId: `suspect ${i}` });
  }
  await using server = await RawChannel.open(url);
  let delivered = 0;
  await server.channel.basicConsume(QUEUE, { noAck: false }, () => void delivered++);
  await waitFor(() => delivered === count, { what: "all deliveries" });
}

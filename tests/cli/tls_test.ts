/** `amqps://` with certificates of all kinds, on real brokers. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseBrokerUrls } from "../../src/amqp/broker_url.ts";
import { connectFailure } from "../../src/amqp/failure.ts";
import { Connection } from "../../src/amqp/connection.ts";
import { type Broker, startBroker, uniqueQueue } from "../support/broker.ts";
import { makeCertificates } from "../support/certificates.ts";
import type { Outcome } from "../support/process.ts";
import { listenTls } from "../support/tls_listener.ts";
import { CommandLine, READY } from "./command_line.ts";

const fibrpc = new CommandLine("");

/** Who tries again doesn't end. */
const PATIENT = ["--timeout", "1h", "--connect-timeout", "1h"];

Deno.test("tls", async (t) => {
  await using files = await makeCertificates();
  const { ca, strangersCa, server, client, chainedClient, strangersClient } = files;
  const tls = { ca, ...server };
  const wantsCertificates =
    "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true";
  const started = await Promise.all([
    startBroker({ tls }),
    startBroker({ tls, config: wantsCertificates }),
  ]);
  await using broker = started[0];
  await using strict = started[1];
  await using wrongHost = listenTls(files.wrongHost);
  await using expired = listenTls(files.expired);

  const call = (url: string, args: string[] = [], env: Record<string, string> = {}) =>
    fibrpc.run(["call", "30", ...PATIENT, ...args], { env: { FIBRPC_URL: url, ...env } });
  const trusting = ["--tls-ca", ca];
  const withClient = [...trusting, "--tls-cert", client.cert, "--tls-key", client.key];

  /** Both ends over TLS. */
  async function works(url: string, args: string[], env: Record<string, string> = {}) {
    const queue = uniqueQueue("tls");
    const all = ["--queue", queue, ...args];
    await using serving = fibrpc.spawn(["serve", ...all], { env: { FIBRPC_URL: url, ...env } });
    await serving.waitForStderr(READY);
    const { code, stdout, stderr } = await call(url, all, env);
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "832040\n", stderr: "" });
  }

  /** Neither end goes on. */
  async function isRefused(url: string, args: string[], why: RegExp, env = {}) {
    const outcomes = await Promise.all([
      call(url, args, env),
      fibrpc.run(["serve", ...args], { env: { FIBRPC_URL: url, ...env } }),
    ]);
    for (const outcome of outcomes) assertRefused(outcome, why);
  }

  await t.step("by address, by name", async () => {
    await works(broker.tlsUrl, trusting);
    await works(named(broker), trusting);
  });

  await t.step("the system's authorities are trusted, and no others", async () => {
    await works(named(broker), [], { SSL_CERT_FILE: ca, SSL_CERT_DIR: "" });
    const noOthers = { SSL_CERT_FILE: strangersCa, SSL_CERT_DIR: "", NODE_EXTRA_CA_CERTS: ca };
    await isRefused(named(broker), [], /--tls-ca/, noOthers);
  });

  await t.step("--tls-ca takes the place of the system's authorities", async () => {
    const system = { SSL_CERT_FILE: ca, SSL_CERT_DIR: "", NODE_EXTRA_CA_CERTS: ca };
    await isRefused(named(broker), ["--tls-ca", strangersCa], /--tls-ca/, system);
  });

  await t.step("refused: an unknown authority; nothing turns that off", async () => {
    await isRefused(broker.tlsUrl, [], /certificate.*--tls-ca/);
    await isRefused(`${broker.tlsUrl}/?insecure`, [], /--tls-ca/);
    const switches = { NODE_TLS_REJECT_UNAUTHORIZED: "0", DENO_TLS_CA_STORE: "" };
    await isRefused(broker.tlsUrl, [], /--tls-ca/, switches);
  });

  await t.step("refused: a certificate for another host, an expired one", async () => {
    for (const host of ["localhost", "127.0.0.1"]) {
      const url = (port: number) => `amqps://user:hunter2@${host}:${port}`;
      await isRefused(
        url(wrongHost.port),
        trusting,
        /another host/,
      );
      await isRefused(url(expired.port), trusting, /expired/);
    }
    assertEquals([wrongHost.trusted, expired.trusted], [0, 0]);
  });

  await t.step("a client certificate", async () => {
    await works(named(strict), withClient);
  });

  await t.step("a client certificate of an authority in between", async () => {
    const { cert, key } = chainedClient;
    await works(named(strict), [...trusting, "--tls-cert", cert, "--tls-key", key]);
  });

  await t.step("refused: no client certificate, and a stranger's", async () => {
    await isRefused(named(strict), trusting, /--tls-cert and --tls-key/);
    const { cert, key } = strangersClient;
    const stranger = [...trusting, "--tls-cert", cert, "--tls-key", key];
    await isRefused(named(strict), stranger, /refuses the client certificate/);
  });

  await t.step("refused: no client certificate, told at the first attempt", async () => {
    const [url] = parseBrokerUrls(strict.tlsUrl);
    const options = { name: "tls", heartbeatSeconds: 0, tls: { ca: await Deno.readTextFile(ca) } };
    const { signal } = new AbortController();
    for (let time = 1; time <= 20; time++) {
      const error = await Connection.open(url!, options, 60_000, signal).catch((why) => why);
      assertMatch(connectFailure(url!, error).message, /tls\.cert and tls\.key/);
    }
  });

  await t.step("amqps:// to a port without TLS", async () => {
    const url = broker.url.replace("amqp:", "amqps:");
    await isRefused(url, trusting, /no TLS.*amqp:\/\//);
  });

  await t.step("amqp:// to a port with TLS", async () => {
    // Its complaint may get lost, as it closes the connection: then it is tried again.
    const url = broker.tlsUrl.replace("amqps:", "amqp:");
    await isRefused(url, [], /amqps:\/\//);
  });
});

function named(broker: Broker): string {
  return broker.tlsUrl.replace("127.0.0.1", "localhost");
}

function assertRefused({ code, stdout, stderr }: Outcome, why: RegExp): void {
  assertEquals({ code, stdout }, { code: 3, stdout: "" }, stderr);
  assertMatch(stderr, why);
  assert(!stderr.includes("hunter2"), stderr);
}

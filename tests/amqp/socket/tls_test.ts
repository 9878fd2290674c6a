import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { connect } from "node:tls";
import { BrokerUrl } from "../../../src/amqp/broker_url.ts";
import { connectFailure } from "../../../src/amqp/failure.ts";
import { checkTls, tlsConnectOptions, type TlsOptions } from "../../../src/amqp/socket/tls.ts";
import { tlsFailure } from "../../../src/amqp/socket/tls_failure.ts";
import { RpcError } from "../../../src/errors.ts";
import { FibonacciClient } from "../../../src/services/fibonacci/client.ts";
import { makeCertificates } from "../../support/certificates.ts";
import { listenTls } from "../../support/tls_listener.ts";
import { waitFor } from "../../support/wait.ts";

const JUNK = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

Deno.test("checkTls() takes what is right, and says what is wrong", async (t) => {
  await using files = await makeCertificates();
  const read = (file: string) => Deno.readTextFileSync(file);
  const [ca, cert, key] = [files.ca, files.client.cert, files.client.key].map(read);
  const both = `bag attributes\n${key}\n${cert}\n${ca}`;
  const right: Record<string, TlsOptions> = {
    "nothing": {},
    "an authority": { ca: ca! },
    "several authorities": { ca: `# one\n${ca}\n# another\n${read(files.strangersCa)}` },
    "a certificate and its key": { cert: cert!, key: key! },
    "both in one file": { cert: both, key: both },
  };
  for (const [what, options] of Object.entries(right)) {
    await t.step(`right: ${what}`, () => checkTls(options));
  }

  const { privateKey: encrypted } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
  });
  const unreadable = key!.replace(/\n.{8}/, "\nAAAAAAAA");
  const wrong: Record<string, [TlsOptions, RegExp]> = {
    "no certificate in ca": [{ ca: key! }, /^tls\.ca holds no PEM certificate/],
    "an empty ca": [{ ca: "" }, /^tls\.ca holds no PEM certificate/],
    "an unreadable ca": [{ ca: JUNK }, /^tls\.ca holds a certificate that can't be read/],
    "a certificate alone": [{ cert: cert! }, /^tls\.cert needs .*private key.* tls\.key/],
    "a key alone": [{ key: key! }, /^tls\.key needs .*certificate.* tls\.cert/],
    "no certificate in cert": [{ cert: key!, key: key! }, /^tls\.cert holds no PEM certificate/],
    "no key in key": [{ cert: cert!, key: cert! }, /^tls\.key holds no PEM private key/],
    "an encrypted key": [{ cert: cert!, key: encrypted }, /^tls\.key is encrypted/],
    "an unreadable key": [{ cert: cert!, key: unreadable }, /^tls\.key holds .* can't be read/],
    "another's key": [
      { cert: cert!, key: read(files.server.key) },
      /^tls\.key is not the private key .*tls\.cert/,
    ],
  };
  for (const [what, [options, message]] of Object.entries(wrong)) {
    await t.step(`wrong: ${what}`, () => {
      const error = assertThrows(() => checkTls(options), RpcError);
      assertEquals(error.code, "invalid_argument");
      assertMatch(error.message, message);
      const secret = options.key?.split("\n")[2];
      assertEquals(secret && error.message.includes(secret), secret && false);
    });
  }
});

Deno.test("tlsConnectOptions() passes on nothing that turns verification off", async () => {
  await using files = await makeCertificates();
  await using listener = listenTls(files.server);
  const options = { rejectUnauthorized: false, checkServerIdentity: () => undefined } as TlsOptions;
  const socket = connect({ port: listener.port, ...tlsConnectOptions("127.0.0.1", options) });
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on("secureConnect", () => resolve("connected"));
  socket.on("error", (error: Error & { code?: string }) => resolve(`${error.code}`));
  const outcome = await promise;
  socket.destroy();
  assertMatch(outcome, /^UNABLE_TO_VERIFY|^SELF_SIGNED/);
});

Deno.test("the certificate must be for what the URL names the broker by", async () => {
  await using files = await makeCertificates();
  const tls = { ca: await Deno.readTextFile(files.ca) };
  const cases: [host: string, certificate: "byName" | "byAddress", isTrusted: boolean][] = [
    ["localhost", "byName", true],
    ["127.0.0.1", "byName", false],
    ["127.0.0.1", "byAddress", true],
    ["localhost", "byAddress", false],
  ];
  for (const [host, certificate, isTrusted] of cases) {
    await using listener = listenTls(files[certificate]);
    const url = `amqps://${host}:${listener.port}`;
    await using client = new FibonacciClient({ url, tls, connectTimeoutMs: 5_000 });
    // It is no broker: whoever trusts it begins to speak, and is cut off.
    const failed = client.connect().catch((error) => error.message);
    if (isTrusted) await waitFor(() => listener.trusted > 0, { what: `trust in ${certificate}` });
    else assertMatch(await failed, /its certificate is for another host/);
    assertEquals(listener.trusted > 0, isTrusted, `${certificate} for ${host}`);
    await client.close();
    await failed;
  }
});

Deno.test("an unusable certificate is refused at once; a function's by the first call", async () => {
  const tls = { ca: "nothing" };
  const { code } = assertThrows(
    () => new FibonacciClient({ url: "amqps://127.0.0.1:1", tls }),
    RpcError,
  );
  assertEquals(code, "invalid_argument");
  await using client = new FibonacciClient({ url: "amqps://127.0.0.1:1", tls: () => tls });
  const failure = await client.fibonacci(30).catch((error) => error);
  assertEquals(failure instanceof RpcError && failure.code, "invalid_argument");
});

const BROKER = new BrokerUrl("amqps://user:hunter2@broker.example");

/** As the runtimes report them: Deno 2.9 and Bun 1.4, with RabbitMQ 3.10 at the other end. */
const FAILURES: [code: string, text: string, says: RegExp][] = [
  ["SELF_SIGNED_CERT_IN_CHAIN", "self-signed certificate in certificate chain", /tls\.ca/],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate", /tls\.ca/],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "unable to get local issuer certificate", /tls\.ca/],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "does not match certificate's altnames", /another host/],
  ["CERT_HAS_EXPIRED", "certificate has expired", /has expired/],
  ["CERT_NOT_YET_VALID", "certificate is not yet valid", /clock/],
  [
    "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "received fatal alert: CertificateRequired",
    /tls\.cert/,
  ],
  [
    "ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED",
    "error:1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED",
    /tls\.cert/,
  ],
  ["ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", "handshake failure", /tls\.cert/],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "received fatal alert: UnknownCA", /refuses the client/],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate expired", /refuses the client/],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "wrong version number", /no TLS/],
];

for (const [code, text, says] of FAILURES) {
  Deno.test(`connectFailure() of TLS is final, and says what to do: ${code}`, () => {
    const failure = connectFailure(BROKER, Object.assign(new Error(text), { code }));
    assertEquals([failure.final, failure.error.code], [true, "unavailable"]);
    assertMatch(failure.message, /^no trusted TLS connection to broker\.example:5671: /);
    assertMatch(failure.message, says);
  });
}

Deno.test("tlsFailure() leaves alone what may go away by itself", () => {
  for (const code of ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTFOUND"]) {
    assertEquals(tlsFailure(Object.assign(new Error(`connect ${code}`), { code })), undefined);
  }
  assertEquals(tlsFailure(new Error("the connection was closed")), undefined);
  assertEquals(tlsFailure(undefined), undefined);
});

/**
 * Certificates for tests, made by the `openssl` command: good ones, and each
 * kind of bad one.
 *
 * @module
 */
import { run } from "./process.ts";

/** The files of a certificate, in PEM. */
export interface Issued {
  /** The certificate. */
  cert: string;
  /** Its private key. */
  key: string;
}

/** Files in a folder of their own, removed when it is disposed of. */
export interface Certificates extends AsyncDisposable {
  /** The folder. */
  folder: string;
  /** The authority of all but {@linkcode Certificates.strangersClient}. */
  ca: string;
  /** Another authority. */
  strangersCa: string;
  /** For `localhost` and the loopback addresses, for two months; the others for two days. */
  server: Issued;
  /** For `localhost` by its name only. */
  byName: Issued;
  /** For 127.0.0.1 by its address only. */
  byAddress: Issued;
  /** For `elsewhere.example`. */
  wrongHost: Issued;
  /** As `server`, but no longer valid. */
  expired: Issued;
  /** For a client. */
  client: Issued;
  /** For a client, by an authority that the first one has certified; its certificate follows. */
  chainedClient: Issued;
  /** For a client, by the other authority. */
  strangersClient: Issued;
}

const LOCALHOST = "DNS:localhost,IP:127.0.0.1,IP:::1";

/** Makes them all: a tenth of a second. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  const maker = new Maker(folder);
  const [ca, strangersCa] = await Promise.all([
    maker.authority("ca"),
    maker.authority("strangers-ca"),
  ]);
  const [
    server,
    byName,
    byAddress,
    wrongHost,
    expired,
    client,
    chainedClient,
    strangersClient,
  ] = await Promise.all([
    maker.issue(ca, "server", LOCALHOST, 60),
    maker.issue(ca, "by-name", "DNS:localhost"),
    maker.issue(ca, "by-address", "IP:127.0.0.1"),
    maker.issue(ca, "wrong-host", "DNS:elsewhere.example"),
    maker.issue(ca, "expired", LOCALHOST, -1),
    maker.issue(ca, "client", "DNS:client.example"),
    maker.issueChained(ca, "chained-client", "DNS:client.example"),
    maker.issue(strangersCa, "strangers-client", "DNS:client.example"),
  ]);
  return {
    folder,
    ca: ca.cert,
    strangersCa: strangersCa.cert,
    server,
    byName,
    byAddress,
    wrongHost,
    expired,
    client,
    chainedClient,
    strangersClient,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

class Maker {
  readonly #folder: string;
  #serial = 1;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async authority(name: string): Promise<Issued> {
    const issued = this.#files(name);
    await openssl(
      ["req", "-x509", ...NEW_KEY, "-keyout", issued.key, "-out", issued.cert],
      ["-subj", `/CN=${name}`, "-days", "2"],
    );
    return issued;
  }

  /** Through an authority in between, whose certificate is in the same file. */
  async issueChained(ca: Issued, name: string, hosts: string): Promise<Issued> {
    const between = await this.#sign(ca, `${name}-authority`, "basicConstraints=critical,CA:TRUE");
    const issued = await this.issue(between, name, hosts);
    await Deno.writeTextFile(issued.cert, await Deno.readTextFile(between.cert), { append: true });
    return issued;
  }

  issue(ca: Issued, name: string, hosts: string, days = 2): Promise<Issued> {
    return this.#sign(ca, name, `subjectAltName=${hosts}`, days);
  }

  async #sign(ca: Issued, name: string, extension: string, days = 2): Promise<Issued> {
    const issued = this.#files(name);
    const [request, extensions] = [`${issued.cert}.csr`, `${issued.cert}.ext`];
    await Deno.writeTextFile(extensions, `${extension}\n`);
    await openssl(
      ["req", "-new", ...NEW_KEY, "-keyout", issued.key, "-out", request],
      ["-subj", `/CN=${name}`],
    );
    await openssl(
      ["x509", "-req", "-in", request, "-out", issued.cert, "-extfile", extensions],
      ["-CA", ca.cert, "-CAkey", ca.key, "-set_serial", `${this.#serial++}`, "-days", `${days}`],
    );
    return issued;
  }

  #files(name: string): Issued {
    return { cert: `${this.#folder}/${name}.pem`, key: `${this.#folder}/${name}.key` };
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

async function openssl(...args: string[][]): Promise<void> {
  const { code, stderr } = await run("openssl", args.flat());
  if (code !== 0) throw new Error(`openssl ${args.flat().join(" ")} failed:\n${stderr}`);
}

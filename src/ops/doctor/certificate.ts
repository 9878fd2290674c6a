/**
 * The certificate that a broker shows, before it is judged: whose it is, who
 * issued it, and how long it is valid.
 *
 * @module
 */
import { connect, type PeerCertificate } from "node:tls";
import type { BrokerUrl } from "../../amqp/broker_url.ts";
import { loginTo } from "../../amqp/credentials.ts";
import { tlsConnectOptions, type TlsOptions } from "../../amqp/socket/tls.ts";
import { within } from "../../time.ts";
import type { Check, Finding } from "./doctor.ts";

/** A certificate is renewed a month before its end, as a rule. */
const SOON_DAYS = 30;

const DAY_MS = 86_400_000;

/** How long the handshake may take, in milliseconds: less than the check. */
const SHOW_MS = 2_500;

export const certificate: Check = {
  name: "certificate",
  limitMs: 3_000,
  needs: ["connect"],
  async run({ broker, options }, { reachable }, signal) {
    if (!broker.tls) {
      return [{ status: "skip", text: "the URL begins with amqp://, which goes without TLS" }];
    }
    try {
      const { tls } = await loginTo(broker, options, this.limitMs, signal);
      const shown = show(broker, reachable ?? broker.host, tls, signal);
      return [judge(await within(shown, SHOW_MS, signal, "no answer"))];
    } catch {
      signal.throwIfAborted();
      return [{ status: "skip", text: "the broker shows none: see login" }];
    }
  },
};

/** A certificate, and what was agreed on besides. */
interface Shown {
  readonly certificate: PeerCertificate;
  /** Such as `TLSv1.3`. */
  readonly protocol: string | null;
}

/** Connects without a look at whether the certificate can be trusted, and sends nothing. */
function show(
  { host, port }: BrokerUrl,
  address: string,
  tls: TlsOptions | undefined,
  signal: AbortSignal,
): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const options = { ...tlsConnectOptions(host, tls), rejectUnauthorized: false };
    const socket = connect({ ...options, host: address, port }, () => {
      const certificate = socket.getPeerCertificate();
      resolve({ certificate, protocol: socket.getProtocol() });
      socket.destroy();
    });
    signal.addEventListener("abort", () => socket.destroy());
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the connection was closed")));
  });
}

function judge({ certificate, protocol }: Shown): Finding {
  const { subjectaltname, subject, issuer, valid_from, valid_to } = certificate;
  const names = subjectaltname?.replaceAll(/DNS:|IP Address:/g, "") ?? nameOf(subject);
  const end = Date.parse(valid_to);
  const days = Math.floor((end - Date.now()) / DAY_MS);
  const whose = `for ${names}, issued by ${nameOf(issuer)}`;
  const date = new Date(end).toISOString().slice(0, 10);
  const action = "renew the broker's certificate";
  if (days < 0) return { status: "warn", text: `${whose}, expired on ${date}`, action };
  if (Date.parse(valid_from) > Date.now()) {
    const from = new Date(valid_from).toISOString();
    const text = `${whose}, valid from ${from} on`;
    return { status: "warn", text, action: "set this host's clock, or wait" };
  }
  const left = `valid until ${date}, ${days} ${days === 1 ? "day" : "days"} left`;
  const text = `${whose}, ${left}; ${protocol ?? "TLS"}`;
  return days < SOON_DAYS ? { status: "warn", text, action } : { status: "ok", text };
}

/** The name that people know of a subject or an issuer. */
function nameOf(of: PeerCertificate["subject"]): string {
  const { CN, O } = of as Partial<Record<"CN" | "O", string | string[]>>;
  return [CN ?? O ?? "nobody"].flat().join(", ");
}

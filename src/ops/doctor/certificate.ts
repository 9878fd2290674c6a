/**
 * The certificate that a broker shows, before it is judged: whose it is, who
 * issued it, and how long it is valid.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import { connect, type PeerCertificate } from "node:tls";
import type { BrokerUrl } from "../../amqp/broker_url.ts";
import { loginTo } from "../../amqp/credentials.ts";
import { tlsConnectOptions, type TlsOptions } from "../../amqp/socket/tls.ts";
import { count } from "../../text.ts";
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
      const { certificate, protocol } = await within(shown, SHOW_MS, signal, "no answer");
      const findings = [judge(certificate, protocol, "the broker's certificate")];
      if (tls?.cert !== undefined) findings.push(judgeOwn(tls.cert));
      return findings;
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

/** What is judged of a certificate. */
type Judged = Pick<
  PeerCertificate,
  "subject" | "issuer" | "subjectaltname" | "valid_from" | "valid_to"
>;

/**
 * @param protocol Such as `TLSv1.3`.
 * @param whose What has to be renewed.
 */
function judge(certificate: Judged, protocol: string | null, whose: string): Finding {
  const { subjectaltname, subject, issuer, valid_from, valid_to } = certificate;
  const names = subjectaltname?.replaceAll(/DNS:|IP Address:/g, "") ?? nameOf(subject);
  const end = Date.parse(valid_to);
  const days = Math.floor((end - Date.now()) / DAY_MS);
  const about = `for ${names}, issued by ${nameOf(issuer)}`;
  const date = new Date(end).toISOString().slice(0, 10);
  const action = `renew ${whose}`;
  if (days < 0) return { status: "warn", text: `${about}, expired on ${date}`, action };
  if (Date.parse(valid_from) > Date.now()) {
    const text = `${about}, valid from ${new Date(valid_from).toISOString()} on`;
    return { status: "warn", text, action: "set this host's clock, or wait" };
  }
  const text = `${about}, valid until ${date}, ${count(days, "day")} left${
    protocol === null ? "" : `; ${protocol}`
  }`;
  return days < SOON_DAYS ? { status: "warn", text, action } : { status: "ok", text };
}

/** The first of the certificates in a text is the client's own. */
function judgeOwn(pem: string): Finding {
  const own = new X509Certificate(pem).toLegacyObject();
  const finding = judge(own, null, "the client certificate (--tls-cert)");
  return { ...finding, text: `the client's: ${finding.text}` };
}

/** The name that people know of a subject or an issuer. */
function nameOf(of: PeerCertificate["subject"]): string {
  const { CN, O } = of as Partial<Record<"CN" | "O", string | string[]>>;
  return [CN ?? O ?? "nobody"].flat().join(", ");
}

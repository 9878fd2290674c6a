/**
 * Whether the broker can be reached and lets this user in.
 *
 * @module
 */
import type { BrokerUrl } from "../../amqp/broker_url.ts";
import { addressesWithin, isAddress } from "../../amqp/socket/addresses.ts";
import { connectFailure, replyCodeOf } from "../../amqp/failure.ts";
import { openSocket } from "../../amqp/socket/open.ts";
import { loginTo } from "../../amqp/credentials.ts";
import { messageOf } from "../../text.ts";
import { Probe } from "../probe.ts";
import { NoAnswer, within } from "../../time.ts";
import type { Check, Finding } from "./doctor.ts";

/** How long each attempt may take, in milliseconds: less than its check. */
const ADDRESS_MS = 2_000;
const LOGIN_MS = 3_500;
const HTTP_MS = 1_000;

const LOOPBACK = /^(127\.|::1$)/;

export const name: Check = {
  name: "name",
  limitMs: 3_000,
  needs: [],
  async run({ broker: { host } }, known, signal) {
    try {
      known.addresses = await addressesWithin(host, this.limitMs - 200, signal);
    } catch (error) {
      const isLate = error instanceof NoAnswer;
      return [{
        status: "fail",
        code: "unavailable",
        text: isLate
          ? `DNS does not answer for ${host}`
          : `${host} has no address: ${messageOf(error)}`,
        action: isLate
          ? "look at this host's DNS servers (/etc/resolv.conf)"
          : "correct the host in the URL, or add it to DNS or /etc/hosts",
      }];
    }
    const text = isAddress(host)
      ? `${host} is an address`
      : `${host} is ${known.addresses.join(", ")}`;
    return [{ status: "ok", text }];
  },
};

export const connect: Check = {
  name: "connect",
  limitMs: 4_000,
  needs: ["name"],
  async run({ broker: { port } }, known, signal) {
    const { addresses = [] } = known;
    const findings = await Promise.all(addresses.map(async (address): Promise<Finding> => {
      const where = `${address} port ${port}`;
      const start = performance.now();
      try {
        await within(touch(address, port, signal), ADDRESS_MS, signal, "no answer");
        const ms = (performance.now() - start).toPrecision(2);
        known.reachable ??= address;
        return { status: "ok", text: `${where} answers in ${ms} ms` };
      } catch (error) {
        return { status: "fail", code: "unavailable", ...unreachable(where, port, error) };
      }
    }));
    if (!findings.some(({ status }) => status === "ok")) return findings;
    // Another address works, as with a broker that listens on IPv4 only.
    return findings.map((finding) =>
      finding.status === "fail" ? { ...finding, status: "warn" } : finding
    );
  },
};

async function touch(address: string, port: number, signal: AbortSignal): Promise<void> {
  const ignore = () => {};
  const socket = await openSocket({ address, port }, { data: ignore, close: ignore }, signal);
  socket.destroy();
}

function unreachable(
  where: string,
  port: number,
  error: unknown,
): { text: string; action: string } {
  if (error instanceof NoAnswer) {
    const text = `${where} does not answer`;
    return { text, action: "look for a firewall that drops packets, or a host that is down" };
  }
  if (/ECONNREFUSED|refused/i.test(`${(error as { code?: string }).code} ${messageOf(error)}`)) {
    const text = `${where} refuses connections`;
    return { text, action: `start RabbitMQ, or correct the port (${port}) in the URL` };
  }
  return { text: `${where}: ${messageOf(error)}`, action: "look at the network to that host" };
}

/** What a failed login means, and what to do; the first that fits. */
const LOGIN_FAILURES: readonly [pattern: RegExp, action: string][] = [
  [/port wants TLS/, "begin the URL with amqps://"],
  [/speaks no TLS/, "use the broker's TLS port (5671 as a rule), or begin the URL with amqp://"],
  [/no authority that is trusted/, "name the authority's certificate with --tls-ca"],
  [/is for another host/, "use a host name that the certificate has in the URL"],
  [/has expired/, "renew the broker's certificate; if it is new, set this host's clock"],
  [/not valid yet/, "set this host's clock, or wait until the certificate is valid"],
  [/client certificate/, "give a client certificate with --tls-cert and --tls-key"],
  [
    /vhost .* not found|vhost.*does not exist/i,
    "correct the vhost, which is the URL's path (amqp://host/vhost)",
  ],
  [/no answer/, "look whether a broker is at that port: it takes connections and says nothing"],
  [/ECONNREFUSED/, "name the address that answers in the URL, instead of the host"],
  [/limit/, "close connections of others, or raise the broker's limit"],
  [/on vhost/, "give the user access to the vhost: rabbitmqctl set_permissions -p VHOST USER ..."],
  [/does not speak AMQP|doesn't speak AMQP/, "use the broker's AMQP port, 5672 as a rule"],
];

export const login: Check = {
  name: "login",
  limitMs: 5_000,
  needs: ["connect"],
  async run({ broker, options }, known, signal) {
    let username = broker.username;
    try {
      ({ username } = await loginTo(broker, options, LOGIN_MS, signal));
      const probe = await Probe.open([broker], options, LOGIN_MS, signal);
      known.probe = probe;
      const { connection, connectMs } = probe;
      const { product = "a broker", version = "", clusterName } = connection.brokerInfo;
      known.version = product === "RabbitMQ" ? version : undefined;
      const ms = connectMs.toPrecision(2);
      const cluster = clusterName === undefined ? "" : `, cluster ${clusterName}`;
      const text =
        `user ${username} on vhost ${broker.vhost}: ${product} ${version}${cluster}, in ${ms} ms; ` +
        `heartbeat ${connection.heartbeat} s, frames up to ${connection.agreedFrameMax} bytes`;
      return [{ status: "ok", text }];
    } catch (thrown) {
      const { error } = connectFailure(broker, thrown, username);
      const { code, message: text } = error;
      if (await speaksHttp(broker, signal)) {
        const action = "use the AMQP port, 5672 as a rule: this one speaks HTTP, as RabbitMQ's " +
          "management page does";
        return [{ status: "fail", code, text, action }];
      }
      const found = LOGIN_FAILURES.find(([pattern]) => pattern.test(text))?.[1];
      const action = found ?? otherLogin(replyCodeOf(error.cause), username, known.reachable);
      return [{ status: "fail", code, text, action }];
    }
  },
};

/** Its management page does not answer what is not HTTP. */
async function speaksHttp({ host, port, tls }: BrokerUrl, signal: AbortSignal): Promise<boolean> {
  const address = host.includes(":") ? `[${host}]` : host;
  try {
    const response = await fetch(`${tls ? "https" : "http"}://${address}:${port}/`, {
      method: "HEAD",
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(HTTP_MS)]),
    });
    await response.body?.cancel();
    return true;
  } catch {
    return false;
  }
}

function otherLogin(replyCode: number | undefined, username: string, address = ""): string {
  if (replyCode !== 403) return "look at the broker's log for this connection";
  return username === "guest" && !LOOPBACK.test(address)
    ? "use another user: guest may log in from the broker's own host only"
    : `correct the password, or the user name: rabbitmqctl authenticate_user ${username}`;
}

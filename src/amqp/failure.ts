/**
 * Why a connection could not be had, and whether trying again can help.
 *
 * @module
 */
import { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
import { RpcError, type RpcErrorCode } from "../errors.ts";
import type { BrokerUrl } from "./broker_url.ts";
import { TlsExpected, tlsFailure } from "./socket/tls_failure.ts";
import { NoAnswer } from "../time.ts";
import { messageOf } from "../text.ts";

export class ConnectFailure extends Error {
  readonly error: RpcError;
  /** Whether the broker's answer stays the same until somebody changes something. */
  readonly final: boolean;

  constructor(error: RpcError, final: boolean) {
    super(error.message, { cause: error });
    this.name = "ConnectFailure";
    this.error = error;
    this.final = final;
  }
}

/** AMQP 0-9-1's reply codes that fibrpc acts on, and what they mean to it. */
export const REPLY_CODE = {
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  RESOURCE_LOCKED: 405,
  PRECONDITION_FAILED: 406,
  NOT_ALLOWED: 530,
  INTERNAL_ERROR: 541,
} as const;

/** The reply code of a connection or channel that the broker closed; the library keeps it in the message only. */
export function replyCodeOf(error: unknown): number | undefined {
  const code = error instanceof Error ? /\((\d{3})\)$/.exec(error.message)?.[1] : undefined;
  return code === undefined ? undefined : Number(code);
}

/**
 * An error of the library that may be kept as a cause: its own hold the whole
 * client, password included, for every logger that looks into them.
 */
export function withoutClient(thrown: unknown): unknown {
  return thrown instanceof AMQPError ? new Error(thrown.message) : thrown;
}

/** The broker's own words in an error of the library: without the library's preamble. */
export function brokerText(error: unknown): string {
  const text = messageOf(error);
  return text.replace(/^(connection|channel \d+) closed: /, "");
}

/** The text of RabbitMQ, 3.10 to 4.3, for too many connections or channels: a failure that passes. */
const LIMIT_REACHED = /limit (of )?\(\d+\)( is reached)? \(530\)$/;

/**
 * Whether the runtime doesn't let this program connect: without `--allow-net`
 * Deno's own functions throw `NotCapable`, its look-up of a name fails with
 * EPERM; Node has a code for it.
 */
function isDenied(thrown: unknown): boolean {
  const { name, code, syscall } = (thrown ?? {}) as Record<string, unknown>;
  return name === "NotCapable" || code === "ERR_ACCESS_DENIED" ||
    code === "EPERM" && syscall === "getaddrinfo";
}

function isOfChannel(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("channel ");
}

/**
 * Says what a refused operation on a channel means to a caller. What ended the
 * whole connection stays as it is: {@linkcode connectFailure} has words for it.
 *
 * @param what What was tried, such as `can't consume rpc_queue`.
 */
export function channelError(thrown: unknown, what: string): unknown {
  return isOfChannel(thrown) ? brokerError(thrown, what) : thrown;
}

/** Says what the end of a channel, or of a connection in use, means to a caller. */
export function brokerError(thrown: unknown, what: string): RpcError {
  const refused = replyCodeOf(thrown) === REPLY_CODE.ACCESS_REFUSED;
  const code = refused ? "permission_denied" : "unavailable";
  return new RpcError(code, `${what}: ${brokerText(thrown)}`, {
    cause: withoutClient(thrown),
  });
}

/**
 * Says what a failed attempt means: refused credentials, vhost or TLS won't
 * get better by themselves, everything else may.
 *
 * @param username Who logged in.
 */
export function connectFailure(
  broker: BrokerUrl,
  thrown: unknown,
  username: string = broker.username,
): ConnectFailure {
  if (thrown instanceof ConnectFailure) return thrown;
  // Found out on this side, before anything was sent.
  if (thrown instanceof RpcError) return new ConnectFailure(thrown, thrown.code !== "unavailable");
  const text = brokerText(thrown);
  if (isDenied(thrown)) {
    const message = `this program may not connect to ${broker}: ${text}`;
    return new ConnectFailure(new RpcError("permission_denied", message, { cause: thrown }), true);
  }
  const fail = (code: RpcErrorCode, message: string, final: boolean) =>
    new ConnectFailure(new RpcError(code, message, { cause: withoutClient(thrown) }), final);
  switch (replyCodeOf(thrown)) {
    case REPLY_CODE.ACCESS_REFUSED:
      return fail(
        // A 403 on a channel means that the login had succeeded.
        isOfChannel(thrown) ? "permission_denied" : "unauthenticated",
        `${broker} refused user "${username}": ${text}`,
        true,
      );
    case REPLY_CODE.NOT_ALLOWED:
      if (LIMIT_REACHED.test(text)) break;
      return fail(
        "permission_denied",
        `${broker} refused user "${username}" on vhost "${broker.vhost}": ${text}`,
        true,
      );
  }
  const tls = broker.tls ? tlsFailure(thrown) : undefined;
  if (tls !== undefined) {
    return fail("unavailable", `no trusted TLS connection to ${broker}: ${tls}`, true);
  }
  return fail("unavailable", `can't connect to ${broker}: ${text}`, thrown instanceof TlsExpected);
}

/** Of several failures, of addresses or brokers, the one that explains most. */
export function mostTelling(failures: readonly ConnectFailure[]): ConnectFailure {
  return failures.find(({ final }) => final) ??
    failures.find(({ error }) => replyCodeOf(error.cause) !== undefined) ??
    failures.find(({ error }) => !(error.cause instanceof NoAnswer)) ??
    failures[0]!;
}

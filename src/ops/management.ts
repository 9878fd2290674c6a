/**
 * What only RabbitMQ's management API knows of a queue.
 *
 * @module
 */
import type { BrokerUrl } from "../amqp/broker_url.ts";
import { RpcError } from "../errors.ts";

/** How long the API may take, in milliseconds. */
const LIMIT_MS = 3_000;

/** A queue, as the management API shows it. */
export interface ManagedQueue {
  /** `classic`, `quorum` or `stream`. */
  readonly type: string;
  /** Delivered, and not acknowledged yet. */
  readonly unacknowledged: number;
  /** The policy that applies to it, if one does. */
  readonly policy: string | undefined;
  /** What is in force of its arguments and its policies, by the arguments' names without `x-`. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Where the API is, and who asks. */
export interface ManagementApi {
  /** Such as `http://host:15672`, without user and password. */
  readonly url: URL;
  readonly authorization: string;
}

/**
 * Reads a URL of the API; who asks is in it, or is who logs in to the broker.
 *
 * @throws {RpcError} `invalid_argument` if it is none.
 */
export function managementApi(
  text: string,
  login: { readonly username: string; readonly password: string },
): ManagementApi {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    const rule = "the management API's URL is one such as http://localhost:15672";
    throw new RpcError("invalid_argument", rule);
  }
  const isNamed = url.username !== "";
  const username = isNamed ? decodeURIComponent(url.username) : login.username;
  const password = isNamed ? decodeURIComponent(url.password) : login.password;
  url.username = url.password = "";
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return { url, authorization: `Basic ${bytes.toBase64()}` };
}

/**
 * Asks for one queue.
 *
 * @returns `undefined` if there is none.
 * @throws {RpcError} `unavailable` or `permission_denied`.
 */
export async function managedQueue(
  { url, authorization }: ManagementApi,
  { vhost }: BrokerUrl,
  queue: string,
  signal: AbortSignal,
): Promise<ManagedQueue | undefined> {
  const path = `api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(queue)}`;
  let response: Response;
  try {
    response = await fetch(new URL(path, url.href.replace(/\/*$/, "/")), {
      headers: { authorization },
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]),
    });
  } catch {
    throw new RpcError("unavailable", `the management API at ${url.host} does not answer`);
  }
  if (response.status === 404) {
    await response.body?.cancel();
    return undefined;
  }
  if (!response.ok) {
    await response.body?.cancel();
    const text = `the management API at ${url.host} answers ${response.status} to this user`;
    throw new RpcError("permission_denied", text);
  }
  const found = await response.json();
  const settings: Record<string, unknown> = { ...found.effective_policy_definition };
  for (const [name, value] of Object.entries(found.arguments ?? {})) {
    settings[name.replace(/^x-/, "")] = value;
  }
  return {
    type: String(found.type ?? "classic"),
    unacknowledged: Number(found.messages_unacknowledged ?? 0),
    policy: found.policy || undefined,
    settings,
  };
}

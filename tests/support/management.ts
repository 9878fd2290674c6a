/**
 * A node's management plugin: what RabbitMQ says of itself, over HTTP, which
 * takes milliseconds where `rabbitmqctl` takes a start of Erlang. But what it says
 * is up to about a second old (that of the end of a connection is not).
 *
 * @module
 */

/** A client connection, as far as tests need it. */
export interface BrokerConnection {
  /** RabbitMQ's name for it, by which it can be closed. */
  name: string;
  /** The name the client gave itself (`connection_name`), if it did. */
  clientName: string | undefined;
  /** The user. */
  user: string;
  /** The client's port. */
  peerPort: number;
  /** `running`, `blocked`, `blocking`, ... */
  state: string;
  /** The heartbeat that was agreed on, in seconds; 0 is none. */
  heartbeatSeconds: number;
  /** The frame size that was agreed on, in bytes. */
  frameMaxBytes: number;
  /** How many channels are open. */
  channels: number;
  /** All that the client said of itself. */
  clientProperties: Record<string, unknown>;
}

/** A queue, as far as tests need it. */
export interface BrokerQueue {
  /** Its name. */
  name: string;
  /** `classic`, `quorum` or `stream`. */
  type: string;
  /** Whether it survives a restart of the broker. */
  durable: boolean;
  /** Whether it belongs to one connection. */
  exclusive: boolean;
  /** Ready and unacknowledged messages. */
  messages: number;
  /** Messages that no consumer has. */
  ready: number;
  /** Messages that a consumer has and has not acknowledged. */
  unacknowledged: number;
  /** How many consumers it has. */
  consumers: number;
  /** The arguments it was declared with. */
  arguments: Record<string, unknown>;
}

/** A consumer, as far as tests need it. */
export interface BrokerConsumer {
  /** The queue it consumes from. */
  queue: string;
  /** Its tag. */
  tag: string;
  /** Its prefetch; 0 is none. */
  prefetch: number;
  /** The connection it is on; see {@linkcode BrokerConnection.name}. */
  connection: string;
}

/** Which connections; all if `undefined`. */
export type ConnectionFilter = (connection: BrokerConnection) => boolean;

/** The management API of a node. */
export class Management {
  /** Where it is, with a slash at its end. */
  readonly url: string;
  readonly #authorization: string;

  /** `url` is that of the plugin's HTTP server. */
  constructor(url: string, user = "guest", password = "guest") {
    this.url = url.endsWith("/") ? url : `${url}/`;
    this.#authorization = `Basic ${btoa(`${user}:${password}`)}`;
  }

  /**
   * Any request. `path` comes after `/api/`: `users/alice`,
   * `permissions/%2F/alice`, `queues/%2F/${encodeURIComponent(name)}/contents`.
   *
   * @returns The answer's JSON, `undefined` if there is none.
   * @throws {Error} Unless the status is 2xx.
   */
  async request(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<unknown> {
    const { status, text } = await this.#send(method, path, body);
    if (status < 200 || status > 299) {
      throw new Error(`${method} ${this.url}api/${path}: ${status} ${text}`);
    }
    return text === "" ? undefined : JSON.parse(text);
  }

  /** The open connections. A new one is listed up to a second late. */
  async connections(): Promise<BrokerConnection[]> {
    const rows = await this.request("GET", "connections") as Row[];
    return rows.filter((row) => row.name !== undefined).map((row) => {
      const properties = (row.client_properties ?? {}) as Row;
      return {
        name: String(row.name),
        clientName: properties.connection_name as string | undefined,
        user: String(row.user),
        peerPort: Number(row.peer_port),
        state: String(row.state),
        heartbeatSeconds: Number(row.timeout),
        frameMaxBytes: Number(row.frame_max),
        channels: Number(row.channels ?? 0),
        clientProperties: properties,
      };
    });
  }

  /**
   * Makes the broker close connections (the client sees connection.close 320).
   *
   * @returns How many.
   */
  async closeConnections(match?: ConnectionFilter): Promise<number> {
    const chosen = (await this.connections()).filter(match ?? (() => true));
    await Promise.all(chosen.map(async ({ name }) => {
      const path = `connections/${encodeURIComponent(name)}`;
      const { status, text } = await this.#send("DELETE", path);
      // 404: it ended a moment ago.
      if (status !== 204 && status !== 404) throw new Error(text);
    }));
    return chosen.length;
  }

  /** A queue of the default virtual host, `undefined` if it doesn't exist. */
  async queue(name: string): Promise<BrokerQueue | undefined> {
    const path = `queues/%2F/${encodeURIComponent(name)}`;
    const { status, text } = await this.#send("GET", path);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`);
    return toQueue(JSON.parse(text));
  }

  /** All queues of the default virtual host. */
  async queues(): Promise<BrokerQueue[]> {
    return (await this.request("GET", "queues/%2F") as Row[]).map(toQueue);
  }

  /** All consumers of the default virtual host. */
  async consumers(): Promise<BrokerConsumer[]> {
    const rows = await this.request("GET", "consumers/%2F") as Row[];
    return rows.map((row) => ({
      queue: String((row.queue as Row).name),
      tag: String(row.consumer_tag),
      prefetch: Number(row.prefetch_count),
      connection: String((row.channel_details as Row).connection_name),
    }));
  }

  async #send(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; text: string }> {
    const response = await fetch(`${this.url}api/${path}`, {
      method,
      headers: {
        authorization: this.#authorization,
        // Or Deno keeps it for a next request, which looks like a leak.
        connection: "close",
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  }
}

type Row = Record<string, unknown>;

function toQueue(row: Row): BrokerQueue {
  return {
    name: String(row.name),
    type: String(row.type),
    durable: Boolean(row.durable),
    exclusive: Boolean(row.exclusive),
    messages: Number(row.messages ?? 0),
    ready: Number(row.messages_ready ?? 0),
    unacknowledged: Number(row.messages_unacknowledged ?? 0),
    consumers: Number(row.consumers ?? 0),
    arguments: row.arguments as Row,
  };
}

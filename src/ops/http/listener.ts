/**
 * A small HTTP server for probes, scrapes and people: GET and HEAD, nothing
 * that changes anything.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { getLogger } from "@logtape/logtape";
import { stackOf } from "../../text.ts";

const logger = getLogger(["fibrpc", "http"]);

/** Where to listen. */
export interface ListenAddress {
  /** An address or a name; `undefined`: all interfaces. */
  readonly host: string | undefined;
  /** 0: a free one. */
  readonly port: number;
}

/** What is answered. */
export interface HttpAnswer {
  /** Default: 200. */
  readonly status?: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers the requests for one path. */
export type HttpResource = () => HttpAnswer | Promise<HttpAnswer>;

/** How long a client may take to send its request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;

/** A client is cut off that takes nothing for so long, in milliseconds. */
const SILENCE_MS = 60_000;

/**
 * So many connections are kept. One more takes the place of the oldest: whoever
 * only holds them open, by mistake or not, must not keep a probe out.
 */
const MAX_CONNECTIONS = 100;

/** What is shorter is not compressed, in characters. */
const MIN_GZIP = 1_024;

const METHODS: readonly string[] = ["GET", "HEAD"];

const COMMON_HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
};

const compress = promisify(gzip);

/** Listens until it is closed. */
export class HttpListener {
  readonly #server: Server;
  readonly #resources: Readonly<Record<string, HttpResource>>;
  /** The oldest first. */
  readonly #sockets = new Set<Socket>();

  private constructor(resources: Readonly<Record<string, HttpResource>>) {
    this.#resources = resources;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => {
        logger.error("can't answer {path}: {error}", { path: request.url, error: stackOf(error) });
        if (response.headersSent) response.destroy();
        else response.writeHead(500).end();
      });
    });
    this.#server.requestTimeout = REQUEST_TIMEOUT_MS;
    this.#server.headersTimeout = REQUEST_TIMEOUT_MS;
    this.#server.on("connection", (socket: Socket) => this.#accept(socket));
    this.#server.setTimeout(SILENCE_MS);
    this.#server.on("clientError", (_error, socket) => socket.destroy());
  }

  /**
   * Begins to listen.
   *
   * @param resources What is answered, by path.
   * @throws {Error} If that address can't be had.
   */
  static async start(
    { host, port }: ListenAddress,
    resources: Readonly<Record<string, HttpResource>>,
  ): Promise<HttpListener> {
    const listener = new HttpListener(resources);
    const server = listener.#server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, ...(host !== undefined && { host }) }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    server.on("error", (error) => logger.error("{error}", { error: String(error) }));
    return listener;
  }

  /** Such as `http://127.0.0.1:9464`. */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** Closes it, and the connections that it has. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const [oldest] = this.#sockets;
    if (this.#sockets.size <= MAX_CONNECTIONS) return;
    this.#sockets.delete(oldest!);
    oldest!.destroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "" } = request;
    request.resume(); // A body is of no interest.
    const path = url.replace(/[?#].*$/s, "");
    if (!METHODS.includes(method)) {
      this.#plain(response, 405, "only GET and HEAD", { allow: METHODS.join(", ") });
      return;
    }
    if (!Object.hasOwn(this.#resources, path)) {
      this.#plain(response, 404, `there is ${Object.keys(this.#resources).join(", ")}`);
      return;
    }
    const { status = 200, contentType, body, headers } = await this.#resources[path]!();
    const accepted = String(request.headers["accept-encoding"] ?? "");
    const isGzip = body.length >= MIN_GZIP && /\bgzip\b/.test(accepted);
    const bytes = isGzip ? await compress(body) : new TextEncoder().encode(body);
    response.writeHead(status, {
      ...COMMON_HEADERS,
      ...headers,
      "content-type": contentType,
      "content-length": String(bytes.length),
      vary: "accept-encoding",
      ...(isGzip && { "content-encoding": "gzip" }),
    });
    response.end(method === "HEAD" ? undefined : bytes);
  }

  #plain(
    response: ServerResponse,
    status: number,
    text: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    response.writeHead(status, {
      ...COMMON_HEADERS,
      ...headers,
      "content-type": "text/plain; charset=utf-8",
    });
    response.end(`${text}\n`);
  }
}

/**
 * A TCP proxy that plays the network's faults between a client and a server.
 *
 * Built on `node:net`, whose sockets can be reset.
 *
 * @module
 */
import net from "node:net";
import { freePorts } from "./ports.ts";

/** Options of {@linkcode startProxy}. */
export interface ProxyOptions {
  /**
   * The address to listen on.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
}

/** Starts a proxy in front of a port of 127.0.0.1. Dispose of it. */
export async function startProxy(
  targetPort: number,
  { hostname = "127.0.0.1" }: ProxyOptions = {},
): Promise<FaultProxy> {
  const proxy = new FaultProxy(targetPort, hostname);
  await proxy.listen();
  return proxy;
}

/** A proxy and the faults it can play; see the module. */
export class FaultProxy implements AsyncDisposable {
  readonly #target: net.TcpNetConnectOpts;
  readonly #hostname: string;
  readonly #links = new Set<Link>();
  readonly #faults = new Faults();
  readonly #bytes = { toServer: 0, toClient: 0 };
  readonly #closing: Promise<void>[] = [];
  readonly #port: number;
  #server: net.Server | undefined;
  #accepted = 0;

  /** See {@linkcode startProxy}. */
  constructor(port: number, hostname: string) {
    this.#target = { port, host: "127.0.0.1", allowHalfOpen: true };
    this.#hostname = hostname;
    this.#port = freePorts(1)[0]!;
  }

  /** The port it listens on. */
  get port(): number {
    return this.#port;
  }

  /** How many connections go through it now. */
  get connections(): number {
    return this.#links.size;
  }

  /** How many connections it has accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** How many bytes it has passed on so far. */
  get bytes(): { readonly toServer: number; readonly toClient: number } {
    return { ...this.#bytes };
  }

  /** `url` (a broker's) with the proxy in the place of its host and port. */
  url(url: string): string {
    const result = new URL(url);
    const host = this.#hostname;
    result.host = `${host.includes(":") ? `[${host}]` : host}:${this.#port}`;
    return result.href;
  }

  /** Resets all connections (RST), as a crashed host that is back does. */
  reset(): void {
    for (const link of this.#links) link.reset();
  }

  /**
   * From now on nothing passes: no byte, no FIN, no RST. New connections are
   * accepted and stay silent. What was held back passes after
   * {@linkcode FaultProxy.restore}.
   */
  blackhole(): void {
    this.#faults.close();
  }

  /** From now on each piece of data may come `ms` milliseconds late, in order. */
  delay(fraction: number, ms: number): void {
    this.#faults.delayed = { fraction, ms };
  }

  /** From now on data comes no faster than this, in both directions, as over a modem. */
  slow(bytesPerSecond: number): void {
    this.#faults.bytesPerSecond = bytesPerSecond;
  }

  /** From now on connections are refused. Open ones stay. */
  refuse(): void {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    // It listens no more at once, but calls back after its last connection.
    server.close(() => resolve());
    this.#closing.push(promise);
  }

  /** Undoes {@linkcode blackhole}, {@linkcode delay}, {@linkcode slow} and {@linkcode refuse}. */
  async restore(): Promise<void> {
    this.#faults.open();
    this.#faults.delayed = undefined;
    this.#faults.bytesPerSecond = Infinity;
    await this.listen();
  }

  /** Accepts connections. */
  async listen(): Promise<void> {
    if (this.#server) return;
    const server = net.createServer(
      { allowHalfOpen: true },
      (client) => this.#accept(client),
    );
    const listening = Promise.withResolvers<void>();
    server.once("error", listening.reject);
    server.listen(this.#port, this.#hostname, () => listening.resolve());
    await listening.promise;
    this.#server = server;
  }

  /** Ends all connections and listens no more. */
  async close(): Promise<void> {
    this.refuse();
    for (const link of this.#links) link.destroy();
    await Promise.all([...this.#links].map((link) => link.closed));
    await Promise.all(this.#closing);
  }

  /** See {@linkcode FaultProxy.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(client: net.Socket): void {
    this.#accepted++;
    const link = new Link(client, net.connect(this.#target), {
      faults: this.#faults,
      bytes: this.#bytes,
    });
    this.#links.add(link);
    link.closed.then(() => this.#links.delete(link));
  }
}

/** What links have in common. */
interface LinkContext {
  faults: Faults;
  bytes: { toServer: number; toClient: number };
}

/** One client's connection and the one that was made for it. */
class Link {
  /** Resolves when both are closed. */
  readonly closed: Promise<void>;
  readonly #sockets: readonly net.Socket[];
  readonly #faults: Faults;
  readonly #gone = Promise.withResolvers<void>();

  constructor(
    client: net.Socket,
    server: net.Socket,
    { faults, bytes }: LinkContext,
  ) {
    this.#sockets = [client, server];
    this.#faults = faults;
    for (const socket of this.#sockets) socket.setNoDelay(true);
    this.closed = Promise.all(this.#sockets.map(closeOf)).then(() => {});
    this.#forward(client, server, (length) => bytes.toServer += length);
    this.#forward(server, client, (length) => bytes.toClient += length);
  }

  reset(): void {
    this.#gone.resolve();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  destroy(): void {
    this.#gone.resolve();
    for (const socket of this.#sockets) socket.destroy();
  }

  #forward(
    from: net.Socket,
    to: net.Socket,
    count: (length: number) => void,
  ): void {
    // One thing after the other, whatever each has to wait for.
    let last = Promise.resolve();
    const inOrder = (task: () => Promise<void>) => last = last.then(task);
    from.on("data", (chunk) => {
      from.pause();
      inOrder(async () => {
        await this.#pass();
        await this.#late(chunk.length);
        await this.#pass();
        if (!to.destroyed) {
          count(chunk.length);
          if (!to.write(chunk)) await drainOf(to);
        }
        from.resume();
      });
    });
    from.on("end", () => {
      inOrder(async () => {
        await this.#pass();
        to.end();
      });
    });
    // Refused or reset by one peer is reset for the other.
    from.on("error", () => {
      inOrder(async () => {
        await this.#pass();
        this.reset();
      });
    });
  }

  /** Waits while there is a black hole. */
  async #pass(): Promise<void> {
    await Promise.race([this.#faults.passable, this.#gone.promise]);
  }

  async #late(bytes: number): Promise<void> {
    const { delayed, bytesPerSecond } = this.#faults;
    const isLate = delayed !== undefined && Math.random() < delayed.fraction;
    const ms = (isLate ? delayed.ms : 0) + bytes / bytesPerSecond * 1_000;
    if (ms === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([promise, this.#gone.promise]);
    clearTimeout(timer);
  }
}

/** The faults that are on. */
class Faults {
  delayed: { fraction: number; ms: number } | undefined;
  bytesPerSecond = Infinity;
  #passable = Promise.resolve();
  #open: (() => void) | undefined;

  /** Resolves at once, unless there is a black hole. */
  get passable(): Promise<void> {
    return this.#passable;
  }

  close(): void {
    if (this.#open) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#passable = promise;
    this.#open = resolve;
  }

  open(): void {
    this.#open?.();
    this.#open = undefined;
  }
}

function drainOf(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}

function closeOf(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}

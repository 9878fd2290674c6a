/**
 * Load with known answers for a long time, and faults of every kind from a
 * seed: a private broker, server processes, clients in this one.
 *
 * @module
 */
import { type Broker, startBroker } from "./broker.ts";
import { spawnFibrpc } from "./fibrpc_command.ts";
import { Load, type Verdict } from "./load.ts";
import { memoryOf } from "./memory.ts";
import type { Program } from "./process.ts";
import { type FaultProxy, startProxy } from "./proxy.ts";
import { Random } from "./random.ts";
import { RawChannel } from "./raw_channel.ts";
import { waitFor } from "./wait.ts";

/** What to do. */
export interface SoakOptions {
  /** How long faults go on, in milliseconds. */
  readonly durationMs: number;
  /** The faults' order. */
  readonly seed: number;
  /** Told of each fault before it is made. */
  readonly onFault?: (name: string) => void;
  /**
   * Whether the broker is stopped and killed too, which takes 10 s each time.
   *
   * @default {true}
   */
  readonly restarts?: boolean;
  /** Ends it early, with nothing left behind: {@linkcode soak} rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** What was seen. */
export interface SoakReport extends Verdict {
  /** How often each fault was made. */
  readonly faults: Readonly<Record<string, number>>;
  /** Messages left in the queues. */
  readonly left: number;
  /** Resident memory in MiB of each server at its start and its end, and of this process; where it can be seen. */
  readonly memory: readonly string[];
}

const QUEUE = "soak";
const SERVERS = 3;

/** Faults come one at a time, and each leaves time to recover: no call may last longer. */
const TIMEOUT_MS = 120_000;

/** Runs it; see the module. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { signal } = options;
  await using field = await Field.open();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  try {
    return await Promise.race([field.run(options), aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** A running server, and the memory it had when it began to serve. */
interface Serving {
  readonly program: Program;
  readonly memory: number | undefined;
}

class Field implements AsyncDisposable {
  readonly #broker: Broker;
  readonly #proxy: FaultProxy;
  readonly #servers: Serving[] = [];
  readonly #memory: string[] = [];

  private constructor(broker: Broker, proxy: FaultProxy) {
    this.#broker = broker;
    this.#proxy = proxy;
  }

  static async open(): Promise<Field> {
    const broker = await startBroker({ management: true });
    const field = new Field(broker, await startProxy(broker.port));
    try {
      for (let i = 0; i < SERVERS; i++) await field.#startServer(i);
    } catch (error) {
      await field[Symbol.asyncDispose]();
      throw error;
    }
    return field;
  }

  async run({ durationMs, seed, onFault, restarts = true }: SoakOptions): Promise<SoakReport> {
    const random = new Random(seed);
    const end = performance.now() + durationMs;
    const made: Record<string, number> = {};
    const own = await memoryOf(Deno.pid);
    const client = {
      queue: QUEUE,
      heartbeatSeconds: 1,
      timeoutMs: TIMEOUT_MS,
      resendAfterMs: 1_000,
    };
    const [url, proxied] = [this.#broker.url, this.#proxy.url(this.#broker.url)];
    await using load = new Load({
      clients: [
        { ...client, url },
        { ...client, url, reply: "queue" },
        { ...client, url: proxied },
        { ...client, url: proxied, reply: "queue" },
      ],
      repeatNoServer: true,
    });
    await load.flows();
    const faults = Object.entries({
      ...this.#faults(random),
      ...(restarts && this.#restarts()),
    });
    // Each once, in random order, before any comes again.
    for (let turn: typeof faults = []; performance.now() < end;) {
      if (turn.length === 0) turn = [...faults];
      const [[name, fault]] = turn.splice(random.below(turn.length), 1) as [typeof faults[0]];
      onFault?.(name);
      made[name] = (made[name] ?? 0) + 1;
      await fault(load);
      await load.flows();
    }
    const verdict = await load.finish();
    const left = await this.#left();
    for (const [index, serving] of this.#servers.entries()) await this.#measure(index, serving);
    const now = await memoryOf(Deno.pid);
    if (own && now) this.#memory.push(`clients: ${own.now} -> ${now.now} MiB`);
    return { ...verdict, faults: made, left, memory: this.#memory };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map(({ program }) => program[Symbol.asyncDispose]()));
    await this.#proxy[Symbol.asyncDispose]();
    await this.#broker[Symbol.asyncDispose]();
  }

  /** Each leaves everything as it was, but for what the load shows. */
  #faults(random: Random): Record<string, (load: Load) => Promise<void>> {
    const broker = this.#broker;
    const proxy = this.#proxy;
    const server = () => random.below(SERVERS);
    return {
      "kill -9 of a server": async () => await this.#replace(server(), "SIGKILL"),
      "SIGTERM of a server": async () => await this.#replace(server(), "SIGTERM"),
      "SIGSTOP of a server": async () => {
        const { program } = this.#servers[server()]!;
        program.kill("SIGSTOP");
        await waitFor(async () => (await broker.queue(QUEUE))?.consumers === SERVERS - 1, {
          what: "the broker to miss its heartbeats",
        });
        program.kill("SIGCONT");
        await this.#allServe();
      },
      "reset of a link": async () => {
        const { accepted } = proxy;
        proxy.reset();
        await waitFor(() => proxy.accepted > accepted, { what: "a new connection" });
      },
      "black hole": async () => {
        const { accepted } = proxy;
        proxy.blackhole();
        await waitFor(() => proxy.accepted > accepted, { what: "a new connection" });
        await proxy.restore();
      },
      "late data": async (load) => {
        proxy.delay(0.05, 1 + random.below(200));
        await load.flows(1_000);
        await proxy.restore();
      },
      "refused connections": async (load) => {
        proxy.refuse();
        proxy.reset();
        await load.flows();
        await proxy.restore();
      },
      "connections closed by the management": async () => {
        await waitFor(async () => await broker.closeConnections() > 0, { what: "connections" });
        await this.#allServe();
      },
      "queue deleted": async () => {
        await using peer = await RawChannel.open(broker.url);
        await peer.channel.queueDelete(QUEUE);
        await this.#allServe();
      },
      "memory alarm": async (load) => {
        await broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB");
        await waitFor(() => load.states.every((state) => state === "blocked"), {
          what: "the clients to be told of the alarm",
        });
        await broker.ctl("set_vm_memory_high_watermark", "0.4");
      },
    };
  }

  #restarts(): Record<string, (load: Load) => Promise<void>> {
    const broker = this.#broker;
    return {
      "broker stopped and started": async () => {
        await broker.stop();
        await broker.start();
        await this.#allServe();
      },
      "broker killed and started": async () => {
        await broker.kill();
        await broker.start();
        await this.#allServe();
      },
    };
  }

  async #startServer(index: number): Promise<void> {
    const url = this.#broker.url;
    const args = ["serve", "--url", url, "--queue", QUEUE, "--heartbeat", "1"];
    const program = spawnFibrpc(args);
    this.#servers[index] = { program, memory: undefined };
    await program.waitForStderr(/Awaiting RPC requests/);
    this.#servers[index] = { program, memory: (await memoryOf(program.pid))?.now };
  }

  async #replace(index: number, signal: Deno.Signal): Promise<void> {
    const serving = this.#servers[index]!;
    await this.#measure(index, serving);
    serving.program.kill(signal);
    await serving.program.waitForExit();
    await this.#startServer(index);
  }

  async #measure(index: number, { program, memory }: Serving): Promise<void> {
    const now = await memoryOf(program.pid);
    if (now === undefined) return;
    this.#memory.push(`server ${index}: ${memory} -> ${now.now}, at most ${now.peak} MiB`);
  }

  async #allServe(): Promise<void> {
    await waitFor(async () => (await this.#broker.queue(QUEUE))?.consumers === SERVERS, {
      what: "all servers to consume",
      timeoutMs: 60_000,
    });
  }

  /** Waits until the queues are empty. */
  async #left(): Promise<number> {
    await using peer = await RawChannel.open(this.#broker.url);
    const all = async () =>
      await peer.messagesIn(QUEUE) + await peer.messagesIn(`${QUEUE}.suspects`);
    try {
      await waitFor(async () => await all() === 0, { what: "the queues to be empty" });
    } catch {
      // The report says how many.
    }
    return await all();
  }
}

/**
 * One private RabbitMQ node: its configuration, its life, and ways to harm it.
 *
 * @module
 */
import type { Installation } from "./installation.ts";
import type { Keeper, Kept } from "./keeper.ts";
import {
  type BrokerConnection,
  type BrokerQueue,
  type ConnectionFilter,
  Management,
} from "./management.ts";
import { waitFor } from "./wait.ts";
import { messageOf } from "../../src/text.ts";

/** PEM files of a TLS listener. */
export interface TlsFiles {
  /** The authority that signed the certificate. */
  ca: string;
  /** The certificate. */
  cert: string;
  /** Its private key. */
  key: string;
}

/** How a node is set up. */
export interface NodeOptions {
  /** More lines for rabbitmq.conf. */
  config?: string;
  /** More environment variables for the node. */
  env?: Record<string, string>;
  /**
   * Enables the management plugin: {@linkcode BrokerNode.management} and what
   * is built on it. Adds 0.2 s to the start, and 5 s to a graceful stop.
   *
   * @default {false}
   */
  management?: boolean;
  /** Listens for TLS too; see {@linkcode BrokerNode.tlsUrl}. */
  tls?: TlsFiles;
}

/** The ports of a node. */
export interface NodePorts {
  /** AMQP. */
  amqp: number;
  /** AMQP over TLS. */
  tls: number;
  /** The management plugin's HTTP. */
  management: number;
  /** Erlang's distribution. */
  distribution: number;
}

/** Where a node runs. */
export interface NodePlace {
  /** Its folder and its processes. */
  keeper: Keeper;
  /** The port of the keeper's epmd. */
  epmdPort: number;
  /** RabbitMQ's programs. */
  installation: Installation;
  /** The short name, unique for the keeper. */
  name: string;
  /** Its ports. */
  ports: NodePorts;
  /** The short name of the node whose cluster it joins; may be its own. */
  joins: string;
}

/** A boot takes about 4 s on two cores; much more on a busy machine. */
const START_MS = 120_000;
const STOP_MS = 60_000;
const LOG_LINES = 100;

/** The address that nodes listen on. */
const HOST = "127.0.0.1";

/** The Erlang cookie's file in a node's home. */
const COOKIE = ".erlang.cookie";

/** A private node; see the module. */
export class BrokerNode {
  /** AMQP's URL, with the password of the default user, `guest`. */
  readonly url: string;
  /** AMQP's port. */
  readonly port: number;
  /** The node's full name. */
  readonly name: string;
  readonly #place: NodePlace;
  readonly #options: NodeOptions;
  readonly #folder: string;
  readonly #env: Record<string, string>;
  readonly #management: Management | undefined;
  #process: Kept | undefined;

  private constructor(place: NodePlace, options: NodeOptions) {
    this.#place = place;
    this.#options = options;
    this.#folder = `${place.keeper.folder}/${place.name}`;
    this.port = place.ports.amqp;
    this.name = `${place.name}@localhost`;
    this.url = `amqp://guest:guest@${HOST}:${this.port}`;
    this.#env = environment(place, this.#folder, options.env);
    if (options.management) {
      this.#management = new Management(
        `http://${HOST}:${place.ports.management}`,
      );
    }
  }

  /** Writes a node's files; {@linkcode BrokerNode.start} starts it. */
  static async create(
    place: NodePlace,
    options: NodeOptions,
  ): Promise<BrokerNode> {
    const node = new BrokerNode(place, options);
    const folder = node.#folder;
    await Deno.mkdir(`${folder}/conf.d`, { recursive: true });
    const plugins = options.management ? "rabbitmq_management" : "";
    await Promise.all([
      Deno.writeTextFile(
        `${folder}/rabbitmq.conf`,
        configuration(place, options),
      ),
      Deno.writeTextFile(
        `${folder}/advanced.config`,
        options.management ? ADVANCED_MANAGEMENT : "[].\n",
      ),
      Deno.writeTextFile(`${folder}/enabled_plugins`, `[${plugins}].\n`),
    ]);
    return node;
  }

  /** AMQP's URL over TLS. */
  get tlsUrl(): string {
    if (!this.#options.tls) throw new Error("started without `tls`");
    return `amqps://guest:guest@${HOST}:${this.#place.ports.tls}`;
  }

  /** The management API. */
  get management(): Management {
    if (!this.#management) throw new Error("started without `management`");
    return this.#management;
  }

  /**
   * Starts it, or starts it again on the same ports and data, and waits until
   * it can be used.
   *
   * @throws {Error} With the end of its log, if it did not start.
   */
  async start(): Promise<void> {
    const { keeper, installation, name } = this.#place;
    const before = (await this.#process?.output() ?? "").length;
    const process = await keeper.run(name, installation.server, this.#env);
    this.#process = process;
    let exitCode: string | undefined;
    try {
      await waitFor(async () => {
        await keeper.check();
        exitCode = await process.exitCode();
        if (exitCode !== undefined) return true;
        const log = (await process.output()).slice(before);
        return STARTED.test(log) && await this.#answers();
      }, { what: "RabbitMQ to start", timeoutMs: START_MS, intervalMs: 50 });
    } catch (error) {
      const why = messageOf(error);
      throw new Error(await this.#describe(`RabbitMQ did not start: ${why}`), { cause: error });
    }
    if (exitCode !== undefined) {
      throw new Error(
        await this.#describe(`RabbitMQ ended while starting (${exitCode})`),
      );
    }
  }

  /** Stops it as an operator would: it closes its connections first. */
  async stop(): Promise<void> {
    await this.#end("TERM");
  }

  /** Ends it as a power failure would: `kill -9`. */
  async kill(): Promise<void> {
    await this.#end("KILL");
  }

  /** Stops the process where it is: its sockets stay open and say nothing. */
  async pause(): Promise<void> {
    await this.#process?.signal("STOP");
  }

  /** Undoes {@linkcode BrokerNode.pause}. */
  async resume(): Promise<void> {
    await this.#process?.signal("CONT");
  }

  /**
   * Runs `rabbitmqctl` on this node. That takes one to two seconds: prefer
   * {@linkcode BrokerNode.management} where it can do the same.
   *
   * @returns Its standard output.
   * @throws {Error} If it failed.
   */
  async ctl(...args: string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command(
      this.#place.installation.ctl,
      {
        args: ["--quiet", "-n", this.name, ...args],
        env: this.#env,
        clearEnv: true,
        stdin: "null",
      },
    ).output();
    const decoder = new TextDecoder();
    if (success) return decoder.decode(stdout);
    throw new Error(
      `rabbitmqctl ${args.join(" ")} failed:\n` +
        decoder.decode(stdout) + decoder.decode(stderr),
    );
  }

  /** {@linkcode Management.connections} of {@linkcode BrokerNode.management}. */
  connections(): Promise<BrokerConnection[]> {
    return this.management.connections();
  }

  /** {@linkcode Management.closeConnections} of {@linkcode BrokerNode.management}. */
  closeConnections(match?: ConnectionFilter): Promise<number> {
    return this.management.closeConnections(match);
  }

  /** {@linkcode Management.queue} of {@linkcode BrokerNode.management}. */
  queue(name: string): Promise<BrokerQueue | undefined> {
    return this.management.queue(name);
  }

  /** The pid of the Erlang machine, `undefined` while it doesn't run. */
  async pid(): Promise<number | undefined> {
    const pid = await this.#process?.pid();
    return pid === undefined ? undefined : Number(pid);
  }

  /** All that the node has written, without colours. */
  async log(): Promise<string> {
    return withoutColours(await this.#process?.output() ?? "");
  }

  async #end(signal: string): Promise<void> {
    const process = this.#process;
    if (!process) return;
    await process.signal(signal);
    await waitFor(() => process.exitCode(), {
      what: `RabbitMQ to end on SIG${signal}`,
      timeoutMs: STOP_MS,
    });
  }

  /** Whether it begins the AMQP handshake. */
  async #answers(): Promise<boolean> {
    try {
      using connection = await Deno.connect({
        hostname: HOST,
        port: this.port,
      });
      await connection.write(
        new Uint8Array([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]),
      );
      const answer = new Uint8Array(1);
      return await connection.read(answer) === 1 && answer[0] === METHOD_FRAME;
    } catch (error) {
      if (
        error instanceof Deno.errors.ConnectionRefused ||
        error instanceof Deno.errors.ConnectionReset
      ) return false;
      throw error;
    }
  }

  async #describe(what: string): Promise<string> {
    const lines = (await this.log()).trimEnd().split("\n").slice(-LOG_LINES);
    return `${what}; the end of its log:\n${lines.join("\n")}`;
  }
}

/**
 * How often, in seconds, the management plugin collects the numbers (after
 * the colon; 5 by default): less than a second it can't.
 */
const ADVANCED_MANAGEMENT = `[{rabbitmq_management, [{sample_retention_policies, [
  {global, [{60, 1}]}, {basic, [{60, 1}]}, {detailed, [{60, 1}]}
]}]}].
`;

/** AMQP's frame type of `connection.start`. */
const METHOD_FRAME = 1;

/** What every release since 3.6 writes when it can be used. */
const STARTED = /completed with \d+ plugins|Server startup complete/;

/** Makes the cookie that nodes of one keeper and their tools know each other by. */
export async function writeCookie(folder: string): Promise<void> {
  await Deno.writeTextFile(
    `${folder}/${COOKIE}`,
    crypto.randomUUID().replaceAll("-", ""),
    { mode: 0o400 },
  );
}

function configuration(place: NodePlace, options: NodeOptions): string {
  const { ports, name, joins } = place;
  const { tls, management, config = "" } = options;
  const lines = [
    `listeners.tcp.1 = ${HOST}:${ports.amqp}`,
    // Milliseconds. By default a busy machine may be too slow for it.
    "handshake_timeout = 60000",
    "log.console = true",
    "log.console.level = info",
    "log.file = false",
  ];
  if (tls) {
    lines.push(
      `listeners.ssl.1 = ${HOST}:${ports.tls}`,
      `ssl_options.cacertfile = ${tls.ca}`,
      `ssl_options.certfile = ${tls.cert}`,
      `ssl_options.keyfile = ${tls.key}`,
    );
  }
  if (management) {
    lines.push(
      `management.tcp.ip = ${HOST}`,
      `management.tcp.port = ${ports.management}`,
      // Milliseconds: how often queues and connections tell their numbers.
      "collect_statistics_interval = 100",
    );
  }
  if (joins !== name) {
    const key = "cluster_formation.classic_config.nodes";
    lines.push(`${key}.1 = ${joins}@localhost`, `${key}.2 = ${name}@localhost`);
  }
  // What all nodes have: a release's own default that its package changes.
  lines.push(Deno.env.get("FIBRPC_TEST_RABBITMQ_CONFIG") ?? "", config);
  return lines.join("\n") + "\n";
}

/**
 * The node's whole environment: nothing of the user's RabbitMQ, no file of
 * the system's, no network but the loopback.
 */
function environment(
  { keeper, epmdPort, name, ports }: NodePlace,
  folder: string,
  more: Record<string, string> = {},
): Record<string, string> {
  const loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
  return {
    PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
    HOME: keeper.folder,
    TMPDIR: folder,
    LANG: "C.UTF-8",
    ERL_CRASH_DUMP_SECONDS: "0",
    ERL_EPMD_PORT: `${epmdPort}`,
    ERL_EPMD_ADDRESS: "127.0.0.1",
    // Makes the start script become the Erlang machine instead of its parent.
    RUNNING_UNDER_SYSTEMD: "true",
    RABBITMQ_NODENAME: `${name}@localhost`,
    RABBITMQ_USE_LONGNAME: "false",
    RABBITMQ_DIST_PORT: `${ports.distribution}`,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `+B i ${loopback}`,
    RABBITMQ_CTL_ERL_ARGS: loopback,
    RABBITMQ_MNESIA_BASE: `${folder}/data`,
    RABBITMQ_LOG_BASE: `${folder}/log`,
    RABBITMQ_PID_FILE: `${folder}/rabbitmq.pid`,
    RABBITMQ_CONF_ENV_FILE: `${folder}/rabbitmq-env.conf`,
    RABBITMQ_CONFIG_FILE: `${folder}/rabbitmq.conf`,
    RABBITMQ_CONFIG_FILES: `${folder}/conf.d/*.conf`,
    RABBITMQ_ADVANCED_CONFIG_FILE: `${folder}/advanced.config`,
    RABBITMQ_GENERATED_CONFIG_DIR: `${folder}/generated`,
    RABBITMQ_SCHEMA_DIR: `${folder}/schema`,
    RABBITMQ_FEATURE_FLAGS_FILE: `${folder}/feature_flags`,
    RABBITMQ_ENABLED_PLUGINS_FILE: `${folder}/enabled_plugins`,
    RABBITMQ_PLUGINS_EXPAND_DIR: `${folder}/plugins`,
    ...more,
  };
}

function withoutColours(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[0-9;]*m/g, "");
}

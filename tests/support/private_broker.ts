/**
 * Private RabbitMQ nodes on free loopback ports, with all their data in a
 * temporary folder. They need no rights but to run programs, and are gone a
 * moment after the process that started them, however it ends.
 *
 * @module
 */
import { BrokerNode, type NodeOptions, writeCookie } from "./broker_node.ts";
import { findInstallation, type Installation } from "./installation.ts";
import { Keeper } from "./keeper.ts";
import { freePorts } from "./ports.ts";

/** A private node that goes when it is disposed of. */
export type Broker = BrokerNode & AsyncDisposable;

/** Private nodes that form a cluster, and go when it is disposed of. */
export interface Cluster extends AsyncDisposable {
  /** The nodes. */
  readonly nodes: readonly BrokerNode[];
  /** The nodes' URLs, separated by commas, as `--url` takes them. */
  readonly url: string;
}

/** How often to try other ports when somebody was faster. */
const ATTEMPTS = 3;

const PORT_TAKEN = /eaddrinuse|already in use|in use by another/i;

/**
 * Starts a private node, which takes three to five seconds.
 *
 * @throws {Error} If RabbitMQ is not installed, or did not start.
 */
export async function startBroker(options: NodeOptions = {}): Promise<Broker> {
  const { keeper, nodes: [node] } = await startNodes(1, options);
  return Object.assign(node!, {
    [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose](),
  });
}

/** Starts private nodes, all with the same options, that form a cluster. */
export async function startCluster(
  size: number,
  options: NodeOptions = {},
): Promise<Cluster> {
  const { keeper, nodes } = await startNodes(size, options);
  return {
    nodes,
    url: nodes.map((node) => node.url).join(","),
    [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose](),
  };
}

interface Nodes {
  keeper: Keeper;
  nodes: BrokerNode[];
}

async function startNodes(size: number, options: NodeOptions): Promise<Nodes> {
  const installation = await findInstallation();
  for (let attempt = 1;; attempt++) {
    try {
      return await tryToStart(size, options, installation);
    } catch (error) {
      const taken = error instanceof Error && PORT_TAKEN.test(error.message);
      if (!taken || attempt === ATTEMPTS) throw error;
    }
  }
}

type FourPorts = [number, number, number, number];

async function tryToStart(
  size: number,
  options: NodeOptions,
  installation: Installation,
): Promise<Nodes> {
  const [epmdPort, ...ports] = freePorts(1 + 4 * size) as [number, ...number[]];
  const keeper = await Keeper.start({ epmd: installation.epmd, epmdPort });
  try {
    await writeCookie(keeper.folder);
    const names = Array.from({ length: size }, (_, index) => `n${index + 1}`);
    const nodes = await Promise.all(names.map((name, index) => {
      const [amqp, tls, management, distribution] = ports.slice(4 * index) as FourPorts;
      return BrokerNode.create({
        keeper,
        epmdPort,
        installation,
        name,
        ports: { amqp, tls, management, distribution },
        joins: names[0]!,
      }, options);
    }));
    const [first, ...others] = nodes;
    await first!.start();
    await Promise.all(others.map((node) => node.start()));
    return { keeper, nodes };
  } catch (error) {
    await keeper[Symbol.asyncDispose]();
    throw error;
  }
}

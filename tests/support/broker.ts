/**
 * Real brokers for tests.
 *
 * @module
 */
export { findServer } from "./installation.ts";
export type { BrokerNode, NodeOptions, TlsFiles } from "./broker_node.ts";
export type {
  BrokerConnection,
  BrokerConsumer,
  BrokerQueue,
  ConnectionFilter,
  Management,
} from "./management.ts";
export { type Broker, type Cluster, startBroker, startCluster } from "./private_broker.ts";
export { type SharedBroker, sharedBroker, uniqueQueue } from "./shared_broker.ts";

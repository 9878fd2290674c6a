/**
 * The tutorial's service, by composition: both ends of it, and its descriptor.
 *
 * @module
 */
export { fibonacci } from "../services/fibonacci/service.ts";
export { FibonacciClient, type FibonacciClientOptions } from "../services/fibonacci/client.ts";
export { FibonacciServer, type FibonacciServerOptions } from "../services/fibonacci/server.ts";

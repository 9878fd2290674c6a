/**
 * Direct reply-to addresses: those that a broker gives, and forged ones.
 *
 * @module
 */
import { AMQPClient } from "@cloudamqp/amqp-client";
import { DIRECT_REPLY_TO } from "../../src/protocol/names.ts";

/** What a direct address is made of. */
export interface AddressParts {
  /** The pid's node as it is encoded: `reply@` and a hash. */
  node: string;
  /** The number of the pid. */
  id: number;
  /** The pid's second number. */
  serial: number;
  /** Which run of the node it belongs to. */
  creation: number;
}

/** The address of a consumer that goes with the connection, as a server sees it. */
export async function goneAddress(url: string): Promise<string> {
  const client = new AMQPClient(url);
  client.onerror = () => {};
  await client.connect();
  try {
    const channel = await client.channel();
    await channel.basicConsume(DIRECT_REPLY_TO, { noAck: true }, () => {});
    const returned = Promise.withResolvers<string>();
    channel.onReturn = ({ properties }) => returned.resolve(properties.replyTo!);
    await channel.basicPublish("", "", "", { replyTo: DIRECT_REPLY_TO }, true);
    return await returned.promise;
  } finally {
    await client.close();
  }
}

/** Takes an address apart that a broker gave. */
export function partsOf(address: string): AddressParts {
  const term = Uint8Array.from(atob(address.split(".")[3]!), (c) => c.charCodeAt(0));
  const view = new DataView(term.buffer);
  const end = 5 + view.getUint16(3);
  const [id, serial, creation] = [0, 4, 8].map((at) => view.getUint32(end + at));
  const node = new TextDecoder().decode(term.subarray(5, end));
  return { node, id: id!, serial: serial!, creation: creation! };
}

/** Puts an address together: NEW_PID_EXT with ATOM_UTF8_EXT, as brokers do. */
export function addressOf({ node, id, serial, creation }: AddressParts): string {
  const numbers = new DataView(new ArrayBuffer(12));
  [id, serial, creation].forEach((value, index) => numbers.setUint32(4 * index, value));
  return addressOfTerm(
    [131, 88, 118, node.length >> 8, node.length & 255],
    [...new TextEncoder().encode(node)],
    [...new Uint8Array(numbers.buffer)],
  );
}

/** An address whose pid is these bytes. */
export function addressOfTerm(...bytes: readonly number[][]): string {
  const term = String.fromCharCode(...bytes.flat());
  return `${DIRECT_REPLY_TO}.${btoa(term)}.${btoa("sixteen bytes...")}`;
}

import { assert, assertEquals } from "@std/assert";
import { AMQPClient } from "@cloudamqp/amqp-client";
import { parseDirectAddress } from "../../../src/rpc/server/reply_to/direct_address.ts";
import { sharedBroker } from "../../support/broker.ts";
import {
  addressOf,
  addressOfTerm,
  type AddressParts,
  goneAddress,
  partsOf,
} from "../../support/direct_address.ts";
import { Random, seedOf } from "../../support/random.ts";

const broker = await sharedBroker();

/** An address as RabbitMQ 3.10, 4.0 and 4.3 make them. */
const PARTS: AddressParts = { node: "reply@108504564", id: 686, serial: 0, creation: 0x6b078704 };

Deno.test("parseDirectAddress: one group for each node, whatever the process, its run and the key", () => {
  const group = parseDirectAddress(addressOf(PARTS))?.group;
  assert(group !== undefined);
  const same = [
    addressOf({ ...PARTS, id: 0 }),
    addressOf({ ...PARTS, id: 0x7fff, serial: 0x1fff }),
    addressOf({ ...PARTS, creation: 0xffffffff }),
    addressOf(PARTS).replace(/[^.]+$/, "AAAA"),
  ];
  for (const address of same) assertEquals(parseDirectAddress(address)?.group, group, address);
  const other = addressOf({ ...PARTS, node: "reply@108504565" });
  assert(parseDirectAddress(other)?.group !== group);
});

Deno.test("parseDirectAddress: numbers that not every Erlang takes are a group for each run of a node", () => {
  const small = parseDirectAddress(addressOf(PARTS))!;
  const big = parseDirectAddress(addressOf({ ...PARTS, id: 0x8000 }))!;
  assert(big.group !== small.group);
  const same = [{ serial: 0x2000 }, { id: 0xfff_ffff, serial: 0xffff_ffff }];
  for (const parts of same) {
    assertEquals(parseDirectAddress(addressOf({ ...PARTS, ...parts })), big);
  }
  const otherRun = parseDirectAddress(addressOf({ ...PARTS, id: 0x8000, creation: 1 }))!;
  assert(otherRun.group !== big.group);
});

Deno.test("parseDirectAddress: the probe is of the same group, with its largest numbers", () => {
  for (const [id, largest] of [[1, [0x7fff, 0x1fff]], [0x8000, [0xfff_ffff, 0xffff_ffff]]]) {
    const { group, probe } = parseDirectAddress(addressOf({ ...PARTS, id: id as number }))!;
    assertEquals(parseDirectAddress(probe)?.group, group);
    const parts = partsOf(probe);
    assertEquals([parts.id, parts.serial], largest);
  }
});

Deno.test("parseDirectAddress: undefined for what no broker of that form makes", () => {
  const [prefix, term, key] = /^(.*)\.(.*)\.(.*)$/.exec(addressOf(PARTS))!.slice(1);
  const name = [...new TextEncoder().encode(PARTS.node)];
  const numbers = [...new Uint8Array(12)];
  const malformed = [
    "",
    "amq.rabbitmq.reply-to",
    `${prefix}.`,
    `${prefix}.garbage`,
    `${prefix}.garbage.garbage`,
    `${prefix}.${term}`,
    `${prefix}.${term}.`,
    `${prefix}.${term}.ü`,
    `${prefix}.${term}.a.b`,
    `${prefix}.${term}.${key}\n`,
    `${prefix}.${term!.replaceAll("=", "")}.${key}`,
    `${prefix}.${term!.replace(/.=$/, "z=")}.${key}`, // Bits that no encoder sets.
    `${prefix}.A.${key}`,
    `${prefix}.====.${key}`,
    `x${prefix}.${term}.${key}`,
    addressOf({ ...PARTS, id: 0x1000_0000 }), // No process has it.
    addressOf({ ...PARTS, node: "reply" }),
    addressOf({ ...PARTS, node: "reply@" }),
    addressOf({ ...PARTS, node: "reply@x" }),
    addressOf({ ...PARTS, node: "reply@+1" }),
    addressOf({ ...PARTS, node: "reply@01" }),
    addressOf({ ...PARTS, node: "reply@1234567890" }),
    addressOf({ ...PARTS, node: "rabbit@localhost" }),
    addressOfTerm([131, 88, 118, 0, 14], name, numbers), // Another length.
    addressOfTerm([131, 88, 118, 1, 15], name, numbers),
    addressOfTerm([131, 88, 119, 15], name, numbers), // Another kind of atom.
    addressOfTerm([131, 88, 100, 0, 15], name, numbers),
    addressOfTerm([131, 103, 118, 0, 15], name, numbers), // Another kind of pid.
    addressOfTerm([130, 88, 118, 0, 15], name, numbers),
    addressOfTerm([131, 88, 118, 0, 15], name, numbers, [0]),
    addressOfTerm([131, 88, 118, 0, 15], name, numbers.slice(1)),
    addressOfTerm([131, 119, 1, 120]),
  ];
  for (const address of malformed) assertEquals(parseDirectAddress(address), undefined, address);
});

Deno.test("parseDirectAddress: what a broker gives is understood, and its group can be published to", async () => {
  const own = await goneAddress(broker.url);
  const parts = partsOf(own);
  const group = parseDirectAddress(own)?.group;
  assert(group !== undefined, own);
  const seed = seedOf();
  const random = new Random(seed);
  const client = new AMQPClient(broker.url);
  await client.connect();
  try {
    const channel = await client.channel();
    const { probe } = parseDirectAddress(addressOf({ ...parts, id: 1, serial: 0 }))!;
    const addresses = [own, probe];
    for (const creation of [parts.creation, 0, 1, 0xffff_ffff]) {
      for (const id of [0, 1, 0x7fff]) {
        for (const serial of [0, 0x1fff]) {
          addresses.push(addressOf({ ...parts, id, serial, creation }));
        }
      }
    }
    while (addresses.length < 500) {
      const creation = random.oneIn(2) ? parts.creation : random.below(2 ** 32);
      const [id, serial] = [random.below(0x8000), random.below(0x2000)];
      addresses.push(addressOf({ ...parts, id, serial, creation }));
    }
    for (const address of addresses) {
      const parsed = parseDirectAddress(address);
      if (address !== own) assertEquals(parsed?.group, parts.node, address);
      await channel.basicPublish("", address, "x");
    }
    await channel.basicQos(1); // The broker has taken them all: FIBRPC_TEST_SEED makes them again.
    assert(!client.closed, `seed ${seed}`);
  } finally {
    await client.close();
  }
});

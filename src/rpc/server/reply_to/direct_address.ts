/**
 * What a direct reply-to address says of the process that reads the replies.
 *
 * RabbitMQ 3.10 to 4.3 gives addresses of one form: a prefix, base64 of an
 * Erlang pid in the external term format, a dot, base64 of a key. The name of
 * the pid's node is `reply@` and a hash of the real one. A message to an
 * address that a broker can't decode crashes the channel which publishes it,
 * and with the channel the connection (541; 3.10 in all cases, 4.0 in some).
 * A message to one that it can decode harms nobody, whether the process is
 * there or not. So three things must be known of an address: that it has this
 * form, that its node is one of the broker's, and that the broker's Erlang
 * takes numbers as large as those of its pid.
 *
 * @module
 */
import { DIRECT_REPLY_TO } from "../../../protocol/names.ts";

/** A direct reply-to address, decoded. */
export interface DirectAddress {
  /** The same for all addresses that the broker either can decode or not. */
  readonly group: string;
  /** An address of that group with the largest numbers, where nobody listens. */
  readonly probe: string;
}

/** Erlang/OTP up to 25 refuses larger numbers in pids of its own node, later releases give larger ones. */
const SMALL = { id: 0x7fff, serial: 0x1fff };

/** No release gives larger ones: a process has 28 bits. */
const LARGE = { id: 0xfff_ffff, serial: 0xffff_ffff };

/** A creation tells the runs of a node apart; 0 is none of them. */
const NO_CREATION = 0;

const PREFIX = `${DIRECT_REPLY_TO}.`;

const ENCODED = /^([A-Za-z0-9+/]+={0,2})\.[A-Za-z0-9+/]+={0,2}$/;

/** NEW_PID_EXT with an ATOM_UTF8_EXT, whose length fits into its second byte. */
const PID = /^\x83Xv\0([^])(reply@(?:0|[1-9][0-9]{0,8}))([^]{4})([^]{4})([^]{4})$/;

/** @returns `undefined` for what has not the form that the module describes. */
export function parseDirectAddress(address: string): DirectAddress | undefined {
  if (!address.startsWith(PREFIX)) return undefined;
  const term = decodeBase64(ENCODED.exec(address.slice(PREFIX.length))?.[1]);
  const parts = PID.exec(term);
  if (parts === null || parts[1]!.charCodeAt(0) !== parts[2]!.length) return undefined;
  const node = parts[2]!;
  const [id, serial, creation] = [uint32(parts[3]!), uint32(parts[4]!), uint32(parts[5]!)];
  if (id <= SMALL.id && serial <= SMALL.serial) {
    return { group: node, probe: addressOf(node, SMALL, NO_CREATION) };
  }
  if (id > LARGE.id) return undefined;
  // Whether a pid is one of the broker's own run, with stricter limits, depends on its creation.
  return { group: `${node} ${creation}`, probe: addressOf(node, LARGE, creation) };
}

/** @returns The empty string for what a broker would not have encoded so. */
function decodeBase64(text = ""): string {
  if (text.length % 4 !== 0) return "";
  const decoded = atob(text);
  return btoa(decoded) === text ? decoded : "";
}

function addressOf(node: string, { id, serial }: typeof SMALL, creation: number): string {
  const numbers = [id, serial, creation].map(bytesOf).join("");
  const pid = `\x83Xv\0${String.fromCharCode(node.length)}${node}${numbers}`;
  return `${PREFIX}${btoa(pid)}.${btoa("\0".repeat(16))}`;
}

function uint32(bytes: string): number {
  return [...bytes].reduce((value, byte) => value * 256 + byte.charCodeAt(0), 0);
}

function bytesOf(value: number): string {
  return String.fromCharCode(value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255);
}

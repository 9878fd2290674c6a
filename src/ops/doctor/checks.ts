/**
 * All checks, in the order in which a call needs what they look at.
 *
 * @module
 */
import { replies, roundTrip, version } from "./broker.ts";
import { certificate } from "./certificate.ts";
import type { Check } from "./doctor.ts";
import { policy } from "./policy.ts";
import { limits, settings } from "./process.ts";
import { call, queue, suspects } from "./queue.ts";
import { connect, login, name } from "./reach.ts";

export const CHECKS: readonly Check[] = [
  settings,
  name,
  connect,
  certificate,
  login,
  version,
  roundTrip,
  replies,
  queue,
  policy,
  suspects,
  limits,
  call,
];

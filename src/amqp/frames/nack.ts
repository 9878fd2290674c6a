/**
 * `basic.nack` from the broker (RabbitMQ's extension of AMQP 0-9-1): messages
 * that it could not put into a queue. Its bits are `multiple` and `requeue`. A
 * publisher may ignore the latter, which RabbitMQ sets all the same; the
 * library takes the two together for no `multiple`, and would leave all but one
 * of the messages unsettled for ever.
 *
 * @module
 */
import type { FrameView } from "./frame_view.ts";

/** AMQP 0-9-1, section 4.2.3. */
const METHOD = 1;
const METHOD_OFFSET = 7;

const BASIC = 60;
const NACK = 120;

/** After the class, the method and the delivery tag. */
const BITS_OFFSET = METHOD_OFFSET + 2 + 2 + 8;
const MULTIPLE = 1;

/** Clears the bit `requeue`, if the frame is a `basic.nack`. */
export function clearRequeue(view: FrameView): void {
  if (view.getUint8(0) !== METHOD) return;
  if (view.getUint16(METHOD_OFFSET) !== BASIC || view.getUint16(METHOD_OFFSET + 2) !== NACK) return;
  view.setUint8(BITS_OFFSET, view.getUint8(BITS_OFFSET) & MULTIPLE);
}

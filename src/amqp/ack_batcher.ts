/**
 * Acknowledgements of one channel, gathered over a turn of the event loop:
 * one `basic.ack` with `multiple` for the unbroken run of finished
 * deliveries, single ones for those that overtook a slower one.
 *
 * Measured with 256 in flight: an ack for each reply costs the broker and
 * this process about a tenth of the calls per second.
 *
 * @module
 */

/** What writes the frames of a turn of the event loop. */
export interface FrameWriter {
  /** Called before a turn's frames are written, to add to them. */
  readonly flushListeners: Set<() => void>;
  /** Makes sure that the listeners are called at the end of this turn. */
  scheduleFlush(): void;
}

export interface AckSender {
  basicAck(deliveryTag: number, multiple: boolean): Promise<void>;
  basicReject(deliveryTag: number, requeue: boolean): Promise<void>;
}

/** Batches the acknowledgements of one channel, whose delivery tags count up from 1. */
export class AckBatcher {
  readonly #writer: FrameWriter;
  readonly #channel: AckSender;
  /** Finished, but above an unfinished one. */
  readonly #overtakers = new Set<number>();
  /** All up to this tag are finished. */
  #finishedUpTo = 0;
  #fresh: number[] = [];

  /** Acknowledges on `channel` whenever `writer` writes. */
  constructor(writer: FrameWriter, channel: AckSender) {
    this.#writer = writer;
    this.#channel = channel;
    writer.flushListeners.add(this.#flush);
  }

  stop(): void {
    this.#writer.flushListeners.delete(this.#flush);
  }

  /** The reply to this delivery is among the turn's frames. */
  ack(tag: number): void {
    this.#finish(tag);
    this.#fresh.push(tag);
    this.#writer.scheduleFlush();
  }

  /** Drops a delivery (`requeue` false), or gives it back to the queue. */
  reject(tag: number, requeue: boolean): void {
    this.#finish(tag);
    this.#channel.basicReject(tag, requeue).catch(() => {}); // Lost with its channel: delivered again.
  }

  #finish(tag: number): void {
    if (tag !== this.#finishedUpTo + 1) {
      this.#overtakers.add(tag);
      return;
    }
    this.#finishedUpTo = tag;
    while (this.#overtakers.delete(this.#finishedUpTo + 1)) {
      this.#finishedUpTo += 1;
    }
  }

  readonly #flush = (): void => {
    if (this.#fresh.length === 0) return;
    // RabbitMQ wants a tag that is still unacknowledged, also with `multiple`:
    // the last fresh one within the run, not the end of the run.
    let last = 0;
    let count = 0;
    for (const tag of this.#fresh) {
      if (tag > this.#finishedUpTo) {
        this.#send(tag, false);
      } else {
        count += 1;
        last = Math.max(last, tag);
      }
    }
    if (count > 0) this.#send(last, count > 1);
    this.#fresh = [];
  };

  #send(tag: number, multiple: boolean): void {
    this.#channel.basicAck(tag, multiple).catch(() => {}); // Lost with its channel: delivered again.
  }
}

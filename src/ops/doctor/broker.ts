/**
 * What the broker is like, and whether it takes messages.
 *
 * @module
 */
import type { Connection } from "../../amqp/connection.ts";
import { brokerText } from "../../amqp/failure.ts";
import { DIRECT_REPLY_TO } from "../../protocol/names.ts";
import { pause } from "../../time.ts";
import type { Check, Finding } from "./doctor.ts";

/** Facts about versions of RabbitMQ, each with the first version and the one it ends before. */
const FACTS: readonly {
  readonly from: string;
  readonly before: string;
  readonly finding: Finding;
}[] = [
  {
    from: "0",
    before: "3.10",
    finding: {
      status: "warn",
      text: "older than 3.10, the oldest that fibrpc is tested with",
      action: "upgrade RabbitMQ",
    },
  },
  {
    from: "3.10",
    before: "4.0",
    finding: {
      status: "warn",
      text:
        "3.x, which gets no security updates from its community any more; messages up to 128 MiB",
      action: "upgrade RabbitMQ to 4.x",
    },
  },
  {
    from: "4.2.6",
    before: "4.2.7",
    finding: {
      status: "warn",
      text: "4.2.6 shows a queue's consumers only to users that may configure it",
      action: "upgrade RabbitMQ to 4.2.7 or newer",
    },
  },
  {
    from: "4.3",
    before: "4.3.1",
    finding: {
      status: "warn",
      text: "4.3.0 shows a queue's consumers only to users that may configure it",
      action: "upgrade RabbitMQ to 4.3.1 or newer",
    },
  },
];

/** What is worth knowing, and no reason to act. */
const NOTES: readonly { readonly from: string; readonly text: string }[] = [
  { from: "4.0", text: "messages up to 16 MiB; quorum queues drop a message after 20 deliveries" },
  { from: "4.3", text: "no transient queues: serve declares quorum queues instead" },
];

export const version: Check = {
  name: "version",
  limitMs: 1_000,
  needs: ["login"],
  run(_, { version }) {
    if (version === undefined) {
      const action = "use RabbitMQ: others are not tested";
      return [{ status: "warn", text: "the broker does not say that it is RabbitMQ", action }];
    }
    const found = FACTS
      .filter(({ from, before }) => isAtLeast(version, from) && !isAtLeast(version, before))
      .map(({ finding }) => finding);
    const notes = NOTES.filter(({ from }) => isAtLeast(version, from)).map(({ text }) => text);
    if (found.length > 0) return found;
    return [{ status: "ok", text: [`RabbitMQ ${version}`, ...notes].join("; ") }];
  },
};

/** Compares versions part by part; what is behind a hyphen doesn't count. */
export function isAtLeast(version: string, other: string): boolean {
  const parts = (text: string) => text.split(/[-+]/)[0]!.split(".").map(Number);
  const [left, right] = [parts(version), parts(other)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [a = 0, b = 0] = [left[i], right[i]];
    if (a !== b) return a > b;
  }
  return true;
}

const ROUND_TRIPS = 5;

/** A lone call takes two of them at least. */
const SLOW_MS = 50;

export const roundTrip: Check = {
  name: "round trip",
  limitMs: 3_000,
  needs: ["login"],
  async run(_, { probe }) {
    const median = await probe!.roundTrip(ROUND_TRIPS);
    const text = `${median.toPrecision(2)} ms`;
    if (median < SLOW_MS) return [{ status: "ok", text }];
    const action = "run callers and servers nearer to the broker, or keep many calls in flight";
    return [{ status: "warn", text, action }];
  },
};

/** How long the broker may take to tell of an alarm, in milliseconds. */
const ALARM_MS = 300;

/** Publishes what no queue takes: a broker tells of an alarm whoever publishes, and of a missing permission. */
export const replies: Check = {
  name: "replies",
  limitMs: 3_000,
  needs: ["login"],
  async run(_, { probe }, signal) {
    const { connection } = probe!;
    const findings: Finding[] = [];
    try {
      const channel = await connection.openChannel();
      await channel.consume(DIRECT_REPLY_TO, { noAck: true }, () => {});
      findings.push({ status: "ok", text: "direct reply-to can be consumed" });
      channel.close();
    } catch (error) {
      findings.push({
        status: "fail",
        code: "permission_denied",
        text: `direct reply-to can't be consumed: ${brokerText(error)}`,
        action: "let the user read ^amq\\.rabbitmq\\.reply-to$, or call with --reply queue",
      });
    }
    findings.push(await publishNowhere(connection, signal));
    return findings;
  },
};

async function publishNowhere(connection: Connection, signal: AbortSignal): Promise<Finding> {
  try {
    const channel = await connection.openChannel();
    channel.publish("", "", {}, false);
    const answered = channel.qos(1).then(() => {});
    answered.catch(() => {}); // After the race.
    await Promise.race([answered, connection.whenBlocked]);
    await Promise.race([pause(ALARM_MS, signal), connection.whenBlocked]);
  } catch (error) {
    return {
      status: "fail",
      code: "permission_denied",
      text: `messages can't be published: ${brokerText(error)}`,
      action: "let the user write to ^amq\\.default$: rabbitmqctl set_permissions",
    };
  }
  if (connection.blocked === undefined) return { status: "ok", text: "messages can be published" };
  return {
    status: "fail",
    code: "unavailable",
    text: `the broker takes no messages: ${connection.blocked}`,
    action: "free memory or disk space on the broker's host: rabbitmq-diagnostics alarms",
  };
}

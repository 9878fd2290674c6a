/**
 * What the AMQP library doesn't ask, or check, while a connection is opened
 * (AMQP 0-9-1, section 1.4).
 *
 * @module
 */
import { utf8Length } from "../bytes.ts";
import { RpcError } from "../errors.ts";
import type { BrokerUrl } from "./broker_url.ts";
import type { Login } from "./credentials.ts";
import type { FrameView } from "./frames/frame_view.ts";

/** The methods that begin a handshake: AMQP 0-9-1, section 1.2. */
const CONNECTION = 10;
const START = 10;
const TUNE = 30;

/** Where a frame has them, and their arguments. */
const CLASS_OFFSET = 7;
const METHOD_OFFSET = 9;
const ARGUMENTS_OFFSET = 11;

/** After the version come the broker's properties, a table. */
const PROPERTIES_OFFSET = ARGUMENTS_OFFSET + 2;
/** After the number of channels and the size of frames. */
const HEARTBEAT_OFFSET = ARGUMENTS_OFFSET + 6;

/** The one that the library logs in by. */
const MECHANISM = "PLAIN";

/** A frame may be no larger before both sides have agreed on a size: AMQP 0-9-1, section 4.2.3. */
const FRAME_MIN_SIZE = 4_096;

/** What `connection.start-ok` has besides the names and the password, in bytes. */
const START_OK_BYTES = 346;

/** AMQP 0-9-1, section 4.2.5.3. */
const MAX_SHORT_STRING_BYTES = 255;

function isConnection(view: FrameView, method: number): boolean {
  return view.getUint16(CLASS_OFFSET) === CONNECTION && view.getUint16(METHOD_OFFSET) === method;
}

/**
 * Why a broker can't be logged in to, if the frame is its first one and says so.
 */
export function refusedMechanism(view: FrameView, broker: BrokerUrl): RpcError | undefined {
  if (!isConnection(view, START)) return undefined;
  const offset = PROPERTIES_OFFSET + 4 + view.getUint32(PROPERTIES_OFFSET);
  const [mechanisms] = view.getLongString(offset);
  if (mechanisms.split(" ").includes(MECHANISM)) return undefined;
  return new RpcError(
    "unauthenticated",
    `${broker} takes no user name and password: it offers the mechanisms ` +
      `${JSON.stringify(mechanisms)}, without ${MECHANISM}`,
  );
}

/** What a broker says of itself: the server properties of `connection.start`. */
export interface BrokerInfo {
  /** Such as `RabbitMQ`. */
  readonly product: string | undefined;
  /** Such as `4.3.6`. */
  readonly version: string | undefined;
  /** The name of its cluster; RabbitMQ makes one of the host's. */
  readonly clusterName: string | undefined;
}

/** Such as `RabbitMQ 4.3.6`. */
export function productOf({ product, version }: BrokerInfo): string | undefined {
  return product !== undefined && version !== undefined ? `${product} ${version}` : product;
}

/** Whether a frame is the broker's first one, which says what it is. */
export function isStart(view: FrameView): boolean {
  return isConnection(view, START);
}

/** What the broker's first frame says of it. */
export function brokerInfo(start: FrameView): BrokerInfo {
  const [properties] = start.getTable(PROPERTIES_OFFSET, false);
  const text = (name: string) => {
    const value = properties[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    product: text("product"),
    version: text("version"),
    clusterName: text("cluster_name"),
  };
}

/**
 * Makes a broker that proposes no heartbeat propose ours. The library would
 * take the lower of both, but 0 is none, and not the lowest.
 */
export function proposeHeartbeat(view: FrameView, seconds: number): void {
  if (!isConnection(view, TUNE) || view.getUint16(HEARTBEAT_OFFSET) !== 0) return;
  view.setUint16(HEARTBEAT_OFFSET, seconds);
}

/**
 * Refuses what the frames of a login have no room for. Brokers don't answer
 * such frames, or close the connection without a word.
 *
 * @param names The connection's name, and what else the client says of itself.
 * @throws {RpcError} `invalid_argument`
 */
export function checkLogin(
  broker: BrokerUrl,
  { username, password }: Pick<Login, "username" | "password">,
  names: string,
): void {
  const vhost = utf8Length(broker.vhost);
  if (vhost > MAX_SHORT_STRING_BYTES) {
    throw new RpcError(
      "invalid_argument",
      `the vhost has ${vhost} bytes, over AMQP's limit of ${MAX_SHORT_STRING_BYTES}`,
    );
  }
  const room = FRAME_MIN_SIZE - START_OK_BYTES - utf8Length(names);
  const [user, secret] = [utf8Length(username), utf8Length(password)];
  if (user + secret > room) {
    throw new RpcError(
      "invalid_argument",
      `the user name has ${user} bytes and the password ${secret}: ` +
        `together they are over AMQP's limit of ${room}`,
    );
  }
}

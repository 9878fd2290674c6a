/**
 * The names, defaults and limits of the wire contract.
 *
 * The contract is that of RabbitMQ's "tutorial six" programs: a request goes
 * to the default exchange with the queue's name as routing key, `reply_to`
 * and `correlation_id`; the reply goes to the default exchange with
 * `reply_to` as routing key and the same `correlation_id`.
 *
 * @module
 */
/** The request queue of the tutorial programs. */
export const DEFAULT_QUEUE = "rpc_queue";

/** The broker that is meant when none is named; user and password are `guest` unless they come from elsewhere. */
export const DEFAULT_URL = "amqp://localhost:5672";

/**
 * RabbitMQ's pseudo-queue for replies. Consuming from it declares nothing;
 * the broker puts an address with this prefix into each request's `reply_to`.
 */
export const DIRECT_REPLY_TO = "amq.rabbitmq.reply-to";

/** Content type of requests and of successful replies. */
export const CONTENT_TYPE_TEXT = "text/plain";

/** Content type of what servers record in the suspects' queue: see `StartRecords`. */
export const CONTENT_TYPE_START = "application/x-fibrpc-start";

/** Content type of error replies. */
export const CONTENT_TYPE_JSON = "application/json";

/** The `type` property of an error reply. */
export const ERROR_TYPE = "error";

/** The header of an error reply that holds its code. */
export const ERROR_CODE_HEADER = "x-error-code";

/**
 * The header of a request in the suspects' queue, where older servers moved
 * it: how often it was started since, and took its server with it.
 */
export const ATTEMPTS_HEADER = "x-fibrpc-attempts";

/** The suffix that makes a request queue's name that of its suspects' queue: see `StartRecords`. */
export const SUSPECTS_SUFFIX = ".suspects";

/** AMQP's delivery mode of messages that don't survive a restart of the broker. */
export const TRANSIENT = 1;

/** The longest AMQP short string (queue names, correlation ids), in bytes of UTF-8. */
export const MAX_SHORT_STRING_BYTES = 255;

/**
 * The largest body that RabbitMQ 4.x accepts unless configured otherwise, in
 * bytes (its setting `max_message_size`; 3.x accepts 128 MiB). A larger one
 * would close the channel it was published on.
 */
export const DEFAULT_MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** The most that RabbitMQ's `max_message_size` can be, in bytes. */
export const MAX_MAX_MESSAGE_BYTES = 512 * 1024 * 1024;

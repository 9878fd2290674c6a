/** A client with amqplib. */
import { connect } from "./amqplib.js";
import { runClient } from "./client.js";

await runClient(connect);

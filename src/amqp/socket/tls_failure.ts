/**
 * Why there is no trusted TLS connection, in words that say what to do: the
 * runtimes' own differ, and say it in OpenSSL's.
 *
 * @module
 */

/**
 * What is looked for in an error's code and text, and what it means. OpenSSL's
 * codes are the same on every runtime; an `ALERT` is the other side's word.
 */
const MEANINGS: readonly [pattern: RegExp, meaning: string][] = [
  [
    /ALERT_CERTIFICATE_REQUIRED/,
    "the broker asks for a client certificate (tls.cert and tls.key)",
  ],
  [
    // In TLS 1.2 that is how it asks; but it may also be that no cipher suits both.
    /ALERT_HANDSHAKE_FAILURE/,
    "the broker refuses the handshake (does it want a client certificate? tls.cert and tls.key)",
  ],
  [
    /ALERT_\w*(UNKNOWN_CA|CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR)/,
    "the broker refuses the client certificate (tls.cert)",
  ],
  [/ALERT_/, "the broker refuses the TLS handshake"],
  [
    /ALTNAME|HOSTNAME_MISMATCH/,
    "its certificate is for another host (use a name that the certificate has)",
  ],
  [/CERT_HAS_EXPIRED/, "its certificate has expired (it needs a new one, or a clock is wrong)"],
  [/CERT_NOT_YET_VALID/, "its certificate is not valid yet (or a clock is wrong)"],
  [
    /SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/,
    "its certificate is from no authority that is trusted here (name that one with tls.ca)",
  ],
  [/CERT_|INVALID_CA|INVALID_PURPOSE/, "its certificate is not trusted"],
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|InvalidContentType/,
    "this port speaks no TLS (use its TLS port, 5671 as a rule, or amqp:// to go without)",
  ],
  [
    /ERR_SSL|ERR_TLS|EPROTO|ERR_OSSL|ERR_BORINGSSL|invalid peer certificate/,
    "the TLS handshake failed",
  ],
];

/** A port that was spoken to without TLS complained of it. */
export class TlsExpected extends Error {
  /** @ignore */
  override readonly name = "TlsExpected";

  /** Says what to do. */
  constructor() {
    super("this port wants TLS (the URL must start with amqps://)");
  }
}

/** What a failed connection's error means, if it is one of TLS; these are permanent. */
export function tlsFailure(thrown: unknown): string | undefined {
  const { code, message } = (thrown ?? {}) as { code?: unknown; message?: unknown };
  const meaning = MEANINGS.find(([pattern]) => pattern.test(`${code} ${message}`))?.[1];
  return meaning && `${meaning}: ${String(message).replace(/^error:\w+:/, "")}`;
}

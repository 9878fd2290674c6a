/**
 * What turns values into message bodies and back: the one thing that the two
 * ends need to know of a service. Each takes the half it uses.
 *
 * @module
 */

/** The caller's half of an {@linkcode RpcCodec}. */
export interface RpcClientCodec<Request, Response> {
  /**
   * The body of a request. Bytes are kept until the call ends, for it may be
   * sent again: nothing may write to them meanwhile.
   */
  encodeRequest(request: Request): string | Uint8Array;
  /** The response in a body; it throws an `RpcError` for a body that holds none, or an error. */
  decodeResponse(body: Uint8Array): Response;
  /** A request in a message's words, such as `fib(30)`: when it is made, or first when something is to be said of it. */
  describe(request: Request): string;
}

/** The server's half of an {@linkcode RpcCodec}. */
export interface RpcServerCodec<Request, Response> {
  /**
   * The request in a body. For a body that holds none it throws an `RpcError`
   * (`invalid_argument`, `out_of_range`), which is sent to the caller.
   */
  decodeRequest(body: Uint8Array): Request;
  /** The body of a response. */
  encodeResponse(response: Response): string | Uint8Array;
}

/** Encodes and decodes the requests and responses of one service. */
export interface RpcCodec<Request, Response>
  extends RpcClientCodec<Request, Response>, RpcServerCodec<Request, Response> {}

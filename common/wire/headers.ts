// The headers of a message that anybody may have published. The client library reads them when they are asked for, in
// the middle of its read loop: it throws for a block that is none, and takes minutes for one of many names.

import { InvalidArgumentError, type Msg, type MsgHdrs, MsgImpl } from '@nats-io/transport-node';
import type { StoredMsg } from '@nats-io/jetstream';

/**
 * logferry's own are below 1 KiB, and a message that came through another stream has its subject here once more. What
 * fits in here is read within milliseconds, whatever it is.
 */
const MAX_BLOCK_BYTES = 6_144;

/** Undefined when there are none, or none that logferry would have written. */
export function headersOf(message: Msg | StoredMsg): MsgHdrs | undefined {
  if (headerBytes(message) > MAX_BLOCK_BYTES) return undefined;
  try {
    return 'header' in message ? message.header : message.headers;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return undefined;
    throw error;
  }
}

/** The length of the header block as it was sent; the library knows it, but only its own classes say it. */
export function headerBytes(message: Msg | StoredMsg): number {
  if ('header' in message) return base64Bytes(message);
  return message instanceof MsgImpl ? Math.max(0, message._msg.hdr) : 0;
}

/** A stored message comes as JSON, with its headers in base64. */
function base64Bytes(message: object): number {
  const { hdrs } = (message as { smr?: { message?: { hdrs?: string } } }).smr?.message ?? {};
  return ((hdrs?.length ?? 0) * 3) / 4;
}

// Where a zstd frame ends and how many bytes it holds, read from its headers without decompressing it (RFC 8878,
// section 3.1). Pure.

/** The most bytes that a frame's header takes. */
export const FRAME_HEADER_BYTES = 18;
export const BLOCK_HEADER_BYTES = 3;

const MAGIC = 0xfd2fb528;
/** How many bytes of a header these two bits of its descriptor mean. */
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const CONTENT_BYTES = [0, 2, 4, 8] as const;
const BLOCK_RAW = 0;
const BLOCK_RLE = 1;
const BLOCK_COMPRESSED = 2;
const CHECKSUM_BYTES = 4;

export interface FrameHeader {
  /** Of the header itself. */
  readonly bytes: number;
  /** What the frame says that it decompresses to. */
  readonly content: number;
  /** Behind the last block. */
  readonly trailer: number;
}

/**
 * Undefined for anything but a frame as logferry writes them: no dictionary, and it says how much it holds. Needs
 * FRAME_HEADER_BYTES, or what is left of the file.
 */
export function frameHeader(data: Uint8Array, at = 0): FrameHeader | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (at + 6 > data.length || view.getUint32(at, true) !== MAGIC) return undefined;
  const descriptor = view.getUint8(at + 4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const isReserved = (descriptor & 0x08) !== 0;
  const dictionary = DICTIONARY_BYTES[descriptor & 3] ?? 0;
  const sized = descriptor >> 6;
  const width = sized === 0 ? Number(isSingleSegment) : (CONTENT_BYTES[sized] ?? 0);
  const start = at + 5 + (isSingleSegment ? 0 : 1) + dictionary;
  if (isReserved || dictionary > 0 || width === 0 || start + width > data.length) return undefined;
  const trailer = (descriptor & 0x04) === 0 ? 0 : CHECKSUM_BYTES;
  return { bytes: start + width - at, content: contentAt(view, start, width), trailer };
}

function contentAt(view: DataView, at: number, width: number): number {
  if (width === 1) return view.getUint8(at);
  if (width === 2) return view.getUint16(at, true) + 256;
  if (width === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}

/** How far the next block, or the end, is from this one's header; undefined for what is no block. */
export function blockHeader(data: Uint8Array, at = 0): { bytes: number; isLast: boolean } | undefined {
  const [low, middle, high] = [data[at], data[at + 1], data[at + 2]];
  if (low === undefined || middle === undefined || high === undefined) return undefined;
  const type = (low >> 1) & 3;
  const size = (low | (middle << 8) | (high << 16)) >> 3;
  const isLast = (low & 1) !== 0;
  if (type === BLOCK_RLE) return { bytes: BLOCK_HEADER_BYTES + 1, isLast };
  if (type !== BLOCK_RAW && type !== BLOCK_COMPRESSED) return undefined;
  return { bytes: BLOCK_HEADER_BYTES + size, isLast };
}

/** Whether the data are one frame, nothing before and nothing behind it, that says it holds so many bytes. */
export function isOneFrame(data: Uint8Array, content: number): boolean {
  const header = frameHeader(data);
  if (header?.content !== content) return false;
  for (let at = header.bytes; ;) {
    const block = blockHeader(data, at);
    if (block === undefined) return false;
    at += block.bytes;
    if (block.isLast) return at + header.trailer === data.length;
  }
}

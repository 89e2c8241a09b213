// What `logferry status --json` prints: the same that a dashboard shows. Stable; every field is explained in
// docs/status.md. Pure.

/** `answers`: now; `silent`: registered, and did not answer; `stopped`: let go of its name. */
export type State = 'answers' | 'silent' | 'stopped';

/** What is unknown is null. Bytes are source bytes unless they are the stream's. Times are ISO 8601, in UTC. */
export interface Status {
  readonly receivers: readonly ReceiverRow[];
  readonly hosts: readonly HostRow[];
  readonly stream: StreamRow;
}

export interface ReceiverRow {
  readonly id: string;
  readonly machine: string | null;
  readonly state: State;
  /** When it was last heard of. */
  readonly lastSeen: string | null;
  readonly started: string | null;
  /** The partitions that the records say are its own. */
  readonly partitions: readonly number[];
  /** Written since it started, and a second over the last ten seconds. */
  readonly bytes: number | null;
  readonly bytesPerSecond: number | null;
  /** Messages of its partitions that are not committed. */
  readonly uncommittedMessages: number | null;
  /** Bytes of the file system of its output directory. */
  readonly disk: { readonly free: number; readonly total: number } | null;
  readonly hasRoom: boolean | null;
  /** Messages since it started. */
  readonly duplicates: number | null;
  readonly missing: number | null;
  readonly foreign: number | null;
  /** Recorded as lost since it started. */
  readonly lostBytes: number | null;
  /** Files that wait for bytes that are missing. */
  readonly waitingFiles: number | null;
  readonly risks: readonly string[];
}

export interface HostRow {
  readonly host: string;
  readonly machine: string | null;
  readonly partition: number;
  /** The receiver that its record names. */
  readonly owner: string | null;
  readonly state: State;
  readonly lastSeen: string | null;
  readonly started: string | null;
  readonly files: number | null;
  readonly sizeBytes: number | null;
  readonly publishedBytes: number | null;
  readonly committedBytes: number | null;
  readonly lagBytes: number | null;
  /** How long the oldest of that has been waiting. */
  readonly lagSeconds: number | null;
  /** Committed a second since the look before; null at the first. */
  readonly bytesPerSecond: number | null;
  /** Files with an error. */
  readonly errors: number | null;
  /** Source bytes that are gone, as shipper and receivers have reported since they started. */
  readonly lostBytes: number | null;
  /** Times that its shipper could not tell what became of a file, since it started. */
  readonly untold: number | null;
  /** At most 20 files, those with an error and those furthest behind first. */
  readonly worst: readonly FileRow[];
  readonly risks: readonly string[];
}

export interface FileRow {
  readonly path: string;
  /** The file id of its generation. */
  readonly file: string;
  readonly sizeBytes: number;
  readonly publishedBytes: number;
  readonly committedBytes: number;
  readonly lagBytes: number;
  readonly lagSeconds: number;
  readonly error: string | null;
}

export interface StreamRow {
  readonly name: string;
  readonly created: string;
  readonly messages: number;
  /** As the stream counts them: compressed, with subjects and headers. */
  readonly bytes: number;
  /** Null: no limit. */
  readonly maxBytes: number | null;
  readonly maxAgeSeconds: number | null;
  readonly maxMessages: number | null;
  /** When its first message was stored; null when there is none. */
  readonly oldest: string | null;
  /** What comes in: since the look before, at the first over all that the stream holds. */
  readonly bytesPerSecond: number | null;
  readonly uncommitted: Uncommitted;
  readonly partitions: readonly PartitionRow[];
  readonly risks: readonly string[];
}

/** What no receiver has committed. */
export interface Uncommitted {
  readonly messages: number;
  /** When the oldest of it was stored; null when there is none. */
  readonly oldest: string | null;
  /** When the stream would begin to drop it, if nothing changed; null when never, or when there is none. */
  readonly dropsInSeconds: number | null;
}

export interface PartitionRow {
  readonly partition: number;
  readonly owner: string | null;
  readonly uncommittedMessages: number;
}

// Records and their archives as JSON, both ways. What is read comes from a bucket that others may write to: it is hostile until
// it has passed. Pure.

import { z } from 'zod';

import { parseAs, parseJson, refuseNewer } from '../runtime/json.ts';
import { recentOf } from './layered-map.ts';
import type { FileEntry, Holder, PartitionRecord } from './record.ts';

export const RECORD_VERSION = 1;

const offset = z.int().min(0);
const filesSchema = z.record(
  z.string(),
  z.object({
    path: z.string(),
    offset,
    tail: z.string().nullable(),
    held: z.array(z.tuple([z.string().nullable(), offset])),
    after: z.string().nullable(),
    final: offset.nullable(),
  }),
);
const archiveSchema = z.object({ version: z.literal(RECORD_VERSION), files: filesSchema });
const schema = z.object({
  version: z.literal(RECORD_VERSION),
  partitions: z.int().min(1).max(65_536),
  owner: z.string().nullable(),
  term: z.string().nullable(),
  terms: z.array(z.string()),
  stream: z.object({ created: z.string(), seq: offset }),
  holes: z.record(z.string(), z.object({ path: z.string(), seq: offset, end: offset })),
  unnamed: offset,
  archives: z.array(z.object({ token: z.string().regex(/^[0-9a-f]{8,32}$/), files: offset })),
  files: filesSchema,
});

/** The record as JSON, without what its archives hold. */
export function encodeRecord(record: PartitionRecord): string {
  const files = Object.fromEntries(recentOf(record.files));
  const holes = Object.fromEntries(record.holes);
  return JSON.stringify({ version: RECORD_VERSION, ...record, holes, files });
}

export function encodeArchive(files: ReadonlyMap<string, FileEntry>): string {
  return JSON.stringify({ version: RECORD_VERSION, files: Object.fromEntries(files) });
}

/** Throws as decodeRecord does. */
export function decodeArchive(text: string, what = 'an archive of a record'): Map<string, FileEntry> {
  const value = parseJson(text);
  refuseNewer(value, RECORD_VERSION, what);
  return sharing(parseAs(archiveSchema, value).files);
}

/** Of thousands of entries most have the path, and are held as a whole by the term, that others have: kept once. */
function sharing(files: Record<string, FileEntry>): Map<string, FileEntry> {
  const paths = new Map<string, string>();
  const holders = new Map<string, readonly Holder[]>();
  const shared = new Map<string, FileEntry>();
  for (const [file, entry] of Object.entries(files)) {
    const path = firstOf(paths, entry.path, entry.path);
    const held = firstOf(holders, JSON.stringify(entry.held), entry.held);
    shared.set(file, { ...entry, path, held });
  }
  return shared;
}

/** What was given first under the key. */
function firstOf<V>(given: Map<string, V>, key: string, value: V): V {
  const first = given.get(key) ?? value;
  given.set(key, first);
  return first;
}

/** Reads a record, without what its archives hold. Throws `newer` for a later version (never rebuilt), `corrupt` for anything else that is off. */
export function decodeRecord(text: string, what = 'the record'): PartitionRecord {
  const value = parseJson(text);
  refuseNewer(value, RECORD_VERSION, what);
  const { files, holes, ...rest } = parseAs(schema, value);
  const { partitions, owner, term, terms, stream, unnamed, archives } = rest;
  return {
    ...{ partitions, owner, term, terms, stream, unnamed, archives },
    holes: new Map(Object.entries(holes)),
    files: new Map(Object.entries(files)),
  };
}

// The metrics of a shipper: sums over all its files, from the status that it answers with and what it has counted.

import { counter, counterBy, type Figure, flagged, gauge } from './figures.ts';
import type { ShipperReading } from '../../../shipper/options.ts';

export const shipperFigures: readonly Figure<ShipperReading>[] = [
  counter(
    'logferry_shipper_published_bytes_total',
    'Source bytes that the stream has acknowledged.',
    ({ counts }) => counts.publishedBytes,
  ),
  counter(
    'logferry_shipper_published_chunks_total',
    'Chunks that the stream has acknowledged.',
    ({ counts }) => counts.publishedChunks,
  ),
  counter(
    'logferry_shipper_published_lines_total',
    'Lines that ended in them.',
    ({ counts }) => counts.publishedLines,
  ),
  counter(
    'logferry_shipper_committed_bytes_total',
    'Source bytes that became known as committed by a receiver.',
    ({ counts }) => counts.committedBytes,
  ),
  counter(
    'logferry_shipper_lost_bytes_total',
    'Source bytes that were gone before they could be shipped.',
    ({ counts }) => counts.lostBytes,
  ),
  counter(
    'logferry_shipper_untold_total',
    'Times that it could not tell what became of a file: said at level error.',
    ({ counts }) => counts.untold,
  ),
  counterBy(
    'logferry_shipper_retries_total',
    'reason',
    'Things that were tried again: a publish without an answer, one that was refused because the lane had moved on, anything else that failed.',
    ({ counts }) => ({ unanswered: counts.unanswered, refused: counts.refused, failed: counts.failures }),
  ),
  counter(
    'logferry_shipper_repairs_total',
    'Times that a file was shipped again from an earlier byte because the stream had lost some.',
    ({ counts }) => counts.repairs,
  ),
  counter(
    'logferry_shipper_repaired_bytes_total',
    'Source bytes that were to be shipped again for that.',
    ({ counts }) => counts.repairedBytes,
  ),
  counterBy(
    'logferry_shipper_finished_files_total',
    'reason',
    'Files that were shipped to their end, by how they ended.',
    ({ counts }) => counts.ended,
  ),
  gauge(
    'logferry_shipper_in_flight_chunks',
    "Messages that wait for the stream's acknowledgement.",
    ({ counts }) => counts.inFlight,
  ),
  gauge('logferry_shipper_files', 'Source files.', ({ now }) => now?.status.files),
  gauge('logferry_shipper_open_files', 'Source files that are open.', ({ now }) => now?.openFiles),
  gauge(
    'logferry_shipper_unreadable_files',
    'Source files that cannot be read.',
    ({ now }) => now?.unreadableFiles,
  ),
  gauge(
    'logferry_shipper_failing_files',
    'Source files with which something went wrong and nothing has worked since.',
    ({ now }) => now && now.status.errors - now.status.unreadable,
  ),
  gauge(
    'logferry_shipper_source_bytes',
    'Size of the source files that are not finished.',
    ({ now }) => now?.status.sizeBytes,
  ),
  gauge(
    'logferry_shipper_published_offset_bytes',
    'How much of them is in the stream.',
    ({ now }) => now?.status.publishedBytes,
  ),
  gauge(
    'logferry_shipper_committed_offset_bytes',
    'How much of them is committed.',
    ({ now }) => now?.status.committedBytes,
  ),
  gauge(
    'logferry_shipper_lag_bytes',
    'How much of them is not committed.',
    ({ now }) => now?.status.lagBytes,
  ),
  gauge(
    'logferry_shipper_lag_seconds',
    'How long the oldest byte that is not committed has been waiting.',
    ({ now }) => (now === undefined ? undefined : now.status.lagMs / 1_000),
  ),
  flagged(
    'logferry_shipper_held',
    '1 while it holds back because the stream would drop what no receiver has committed.',
    ({ now }) => now?.status.held,
  ),
];

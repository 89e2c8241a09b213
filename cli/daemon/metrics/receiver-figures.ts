// The metrics of a receiver: sums over all its partitions, from the status that it answers with and what it has counted.

import { counter, counterBy, type Figure, flagged, gauge } from './figures.ts';
import type { ReceiverReading } from '../../../receiver/options.ts';

export const receiverFigures: readonly Figure<ReceiverReading>[] = [
  counter(
    'logferry_receiver_written_bytes_total',
    'Source bytes that were written; what was cut back and written again counts again.',
    ({ stats }) => stats.bytes,
  ),
  counter('logferry_receiver_written_chunks_total', 'Chunks that they were in.', ({ stats }) => stats.chunks),
  counter('logferry_receiver_written_lines_total', 'Lines that ended in them.', ({ stats }) => stats.lines),
  counter(
    'logferry_receiver_lost_bytes_total',
    'Source bytes that were recorded as lost for good.',
    ({ lostBytes }) => lostBytes,
  ),
  counter(
    'logferry_receiver_duplicate_chunks_total',
    'Chunks that came again and were dropped.',
    ({ stats }) => stats.duplicates,
  ),
  counter(
    'logferry_receiver_missing_chunks_total',
    'Chunks that came while bytes before them were missing, or damaged; they are shipped again.',
    ({ stats }) => stats.missing,
  ),
  counter(
    'logferry_receiver_foreign_messages_total',
    'Messages that logferry did not write, which were skipped.',
    ({ stats }) => stats.foreign,
  ),
  counter(
    'logferry_receiver_rotations_total',
    'Central files that became segments.',
    ({ counts }) => counts.rotations,
  ),
  counter(
    'logferry_receiver_commit_failures_total',
    'Commits that failed and are tried again, here or by another receiver.',
    ({ counts }) => counts.commitFailures,
  ),
  counterBy(
    'logferry_receiver_retries_total',
    'reason',
    'Times that a partition was begun again: nats-server did not answer, or the disk took nothing.',
    ({ counts }) => ({ unanswered: counts.unanswered, disk: counts.diskFailures }),
  ),
  counter('logferry_receiver_terms_total', 'Partitions that it took.', ({ counts }) => counts.terms),
  counter(
    'logferry_receiver_lost_terms_total',
    'Partitions that it let go because it could not go on with them.',
    ({ counts }) => counts.termsLost,
  ),
  gauge(
    'logferry_receiver_partitions',
    'Partitions that it writes now.',
    ({ status }) => status?.partitions.length,
  ),
  gauge('logferry_receiver_stream_partitions', 'Partitions of the stream.', ({ partitions }) => partitions),
  gauge('logferry_receiver_open_files', 'Central files that are open.', ({ openFiles }) => openFiles),
  gauge(
    'logferry_receiver_waiting_files',
    'Files that wait for bytes that are missing.',
    ({ status }) => status?.waitingFiles,
  ),
  gauge(
    'logferry_receiver_generations',
    'Generations of source files that are in memory.',
    ({ generations }) => generations.count,
  ),
  gauge(
    'logferry_receiver_generations_limit',
    'From here on, hosts that have more than others begin no new files.',
    ({ generations }) => generations.most,
  ),
  flagged('logferry_receiver_has_room', '0 while the disk takes nothing.', ({ hasRoom }) => hasRoom),
  gauge(
    'logferry_receiver_disk_free_bytes',
    'Free bytes of the file system that it writes to.',
    ({ status }) => status?.disk?.free,
  ),
  gauge(
    'logferry_receiver_disk_size_bytes',
    'Bytes of the file system that it writes to.',
    ({ status }) => status?.disk?.total,
  ),
];

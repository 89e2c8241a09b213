// Whether a stream is one of logferry, and how it is cut. Pure.

import { LogferryError } from '../runtime/errors.ts';
import { partitionsOfTransform, publishedSubjects, type Topology } from '../wire/topology.ts';

/** What counts of a stream's configuration. */
interface Shape {
  readonly subjects: readonly string[];
  readonly subject_transform?: { readonly dest: string } | undefined;
}

/** What a stream's configuration says. Throws `conflict` when it is not one of logferry, or one of an earlier logferry. */
export function topologyOf(names: { stream: string; prefix: string }, config: Shape): Topology {
  if (config.subject_transform !== undefined && isOfEarlier(names.prefix, config))
    throw new LogferryError(
      'conflict',
      `stream ${names.stream} is one of an earlier logferry, whose messages (${config.subjects[0]}) this one neither ` +
        'reads nor writes',
      'delete it once nothing in it is needed and run logferry setup, or give another --stream and --prefix',
    );
  const partitions = partitionsOfTransform(names.prefix, config.subject_transform?.dest ?? '');
  const wanted = publishedSubjects(names.prefix);
  if (partitions === undefined || config.subjects.length !== 1 || config.subjects[0] !== wanted)
    throw new LogferryError(
      'conflict',
      `stream ${names.stream} exists with subjects ${JSON.stringify(config.subjects)}` +
        `${partitions === undefined ? ' and without the subject transform of logferry' : ''}, expected ["${wanted}"]`,
      'give another --stream (and --prefix), or delete that one',
    );
  return { ...names, partitions };
}

/** There was a subject for each generation of each file. */
function isOfEarlier(prefix: string, { subjects }: Shape): boolean {
  return subjects.length === 1 && subjects[0] === `${prefix}.*.*.*`;
}

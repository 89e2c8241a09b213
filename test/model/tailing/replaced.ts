// What the simulation has in place of the system: the port to the disks, what is kept on them, the watcher, the threads of
// node:zlib, and for the player the files that it writes. To be loaded before anything else is.

import { registerHooks } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { ROOT } from '../../support/paths.ts';

const urlOf = (file: string): string => pathToFileURL(path.join(ROOT, file)).href;
const HERE = urlOf('test/model/tailing/');

/** By what it takes the place of. */
const REPLACED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'shipper/files/disk.ts': 'disk.ts',
    'common/runtime/files.ts': 'durable.ts',
    'shipper/discovery/watch.ts': 'watch.ts',
    'test/faults/tailing/files.ts': 'written.ts',
  }).map(([file, by]) => [urlOf(file), HERE + by]),
);

registerHooks({
  resolve: (specifier, context, next) => {
    const from = context.parentURL ?? '';
    if (specifier === 'node:zlib' && from === urlOf('shipper/files/unpack.ts'))
      return next(`${HERE}streams.ts`, context);
    const resolved = next(specifier, context);
    const by = from.startsWith(HERE) ? undefined : REPLACED.get(resolved.url);
    return by === undefined ? resolved : { ...resolved, url: by };
  },
});

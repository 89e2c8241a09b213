// The flag of the commands that read output directories.

import { z } from 'zod';

import { flag, text } from './flag.ts';

export const directoriesFlag = flag(
  '--out <dir...>',
  { help: 'output directories of receivers, one or several', required: true },
  (name) => z.array(text('a directory')(name)),
);

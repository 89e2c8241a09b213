// How a shipper sees the files of this machine, for whoever only wants to know what it would ship. Never ships, and keeps
// nothing open.

export { closedDirectories } from './discovery/closed.ts';
export { inspect } from './files/discover.ts';
export { DEFAULT_EXCLUDES, expand } from './discovery/expand.ts';
export { isRemotePath } from './files/file-systems.ts';
export { baseOfGlob } from './discovery/watch.ts';

#!/usr/bin/env node
// The installed command: refuses a Node that cannot run the rest in one line, before anything else is imported.
// Never uses syntax that an old Node does not parse.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const newEnough = major > 22 || (major === 22 && minor >= 22);

if (newEnough) {
  // A rejection of this import is reported by cli/main.ts or, when that does not load, by Node.
  void import('./main.ts');
} else {
  process.stderr.write(
    'logferry needs Node 22.22 or newer, this is ' +
      process.versions.node +
      ': install a newer Node and run it again\n',
  );
  process.exitCode = 2;
}

export {};

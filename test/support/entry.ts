// The logferry that tests start: the product's own command line, with the numbers of tests.

import './tuned.ts';

await import('../../cli/main.ts');

// Which names a rotation gives, and which are other logs.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isRotationOf, rotationPrefix } from '../../../shipper/files/identity.ts';

const ROTATIONS: Record<string, readonly string[]> = {
  'app.log': [
    'app.log.1',
    'app.log.10',
    'app.log-20261121',
    'app.log-20261121-1795219200',
    'app.log.2026-11-21',
    'app.log.2026-11-21_06-10-21',
    'app-2026-11-21.log',
    'app-2026-11-21T06-10-21Z.log',
    'app.1.log',
    'app_1.log',
    'app.20261121-0610-01.log',
  ],
  messages: ['messages.1', 'messages-20261121'],
};

const OTHERS: Record<string, readonly string[]> = {
  'app.log': [
    'app.log',
    'app.log.err',
    'app-error.log',
    'app.log.bak',
    'app2.log',
    'apple.log',
    'app.log.1.err',
    'a.log.1',
  ],
  '3.log': ['360.log', '31.log', '4.log'],
  messages: ['messages-old', 'messages2'],
};

test('what a rotation makes of a name', () => {
  for (const [base, names] of Object.entries(ROTATIONS))
    for (const name of names) {
      assert.ok(isRotationOf(base, name), `${name} of ${base}`);
      assert.ok(name.startsWith(rotationPrefix(base)), name);
    }
});

test('names of other logs', () => {
  for (const [base, names] of Object.entries(OTHERS))
    for (const name of names) assert.ok(!isRotationOf(base, name), `${name} of ${base}`);
});

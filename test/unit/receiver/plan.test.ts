// The laws of the plan: everybody computes the same balanced one, and it moves no more than it must.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { planOwners, planPartitions } from '../../../receiver/ownership/plan.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

const members = fc.shuffledSubarray(NAMES, { minLength: 1 });
/** Owned by anybody: members, those who left, and nobody. */
const owners = fc.array(fc.constantFrom(null, ...NAMES, 'gone'), { maxLength: 70 });

type Owners = readonly (string | null)[];

function sizes(members: readonly string[], owners: Owners): Map<string, number> {
  return new Map(members.map((name) => [name, owners.filter((owner) => owner === name).length]));
}

/** How many partitions another than their present owner gets. */
function moves(before: Owners, after: Owners): number {
  return before.filter((owner, partition) => owner !== after[partition]).length;
}

/** The fewest moves that any balanced plan needs: what each member may keep, the odd ones for those who own most. */
function fewestMoves(members: readonly string[], owners: Owners): number {
  const least = Math.floor(owners.length / members.length);
  let odd = owners.length % members.length;
  let kept = 0;
  for (const size of [...sizes(members, owners).values()].toSorted((a, b) => b - a)) {
    const share = odd > 0 ? least + 1 : least;
    odd -= 1;
    kept += Math.min(size, share);
  }
  return owners.length - kept;
}

test('every partition has exactly one owner, a member, and sizes differ by at most one', () => {
  fc.assert(
    fc.property(members, owners, (members, owners) => {
      const plan = planPartitions(members, owners);
      assert.equal(plan.length, owners.length);
      for (const owner of plan) assert.ok(owner !== null && members.includes(owner));
      const all = [...sizes(members, plan).values()];
      assert.ok(Math.max(...all) - Math.min(...all) <= 1, all.join(' '));
    }),
  );
});

test('without members nothing is planned', () => {
  assert.deepEqual(planPartitions([], ['a', null, 'b']), [null, null, null]);
});

test('the order in which the members are listed does not matter, nor that one is listed twice', () => {
  const listed = members.chain((names) =>
    fc.tuple(fc.constant(names), fc.shuffledSubarray([...names, ...names], { minLength: names.length * 2 })),
  );
  fc.assert(
    fc.property(listed, owners, ([names, again], owners) => {
      assert.deepEqual(planPartitions(again, owners), planPartitions(names, owners));
    }),
  );
});

test('no balanced plan moves less, whoever joins or leaves', () => {
  fc.assert(
    fc.property(members, owners, (members, owners) => {
      assert.equal(moves(owners, planPartitions(members, owners)), fewestMoves(members, owners));
    }),
    { numRuns: 1000 },
  );
});

test('the fewest moves of that law are the fewest of all, tried out', () => {
  const few = fc.array(fc.constantFrom(null, 'a', 'b', 'gone'), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(few, fc.shuffledSubarray(['a', 'b', 'c'], { minLength: 1 }), (owners, members) => {
      let fewest = Number.POSITIVE_INFINITY;
      for (const plan of everyPlan(members, owners.length)) {
        const all = [...sizes(members, plan).values()];
        if (Math.max(...all) - Math.min(...all) <= 1) fewest = Math.min(fewest, moves(owners, plan));
      }
      assert.equal(fewestMoves(members, owners), fewest);
    }),
    { numRuns: 50 },
  );
});

function everyPlan(members: readonly string[], length: number): string[][] {
  if (length === 0) return [[]];
  return everyPlan(members, length - 1).flatMap((plan) => members.map((name) => [...plan, name]));
}

test('a plan that was carried out stays as it is', () => {
  fc.assert(
    fc.property(members, owners, (members, owners) => {
      const plan = planPartitions(members, owners);
      assert.deepEqual(planPartitions(members, plan), plan);
    }),
  );
});

test('when one joins, only what it gets moves; when one leaves, only what it had', () => {
  fc.assert(
    fc.property(members, fc.integer({ min: 1, max: 70 }), (members, partitions) => {
      const before = planPartitions(
        members,
        Array.from({ length: partitions }, () => null),
      );
      const joined = planPartitions([...members, 'new'], before);
      before.forEach((owner, partition) => {
        if (joined[partition] !== 'new') assert.equal(joined[partition], owner);
      });
      const [leaver, ...rest] = members;
      const left = rest.length > 0 ? planPartitions(rest, before) : before;
      before.forEach((owner, partition) => {
        if (owner !== leaver) assert.equal(left[partition], owner);
      });
    }),
  );
});

const PARTITIONS = 12;

const receivers = fc
  .uniqueArray(
    fc.record({
      id: fc.constantFrom(...NAMES),
      owned: fc.uniqueArray(fc.nat(PARTITIONS - 1)),
      fixed: fc.option(fc.uniqueArray(fc.nat(PARTITIONS + 3)), { freq: 3 }),
      stays: fc.boolean(),
      hasRoom: fc.boolean(),
    }),
    { selector: ({ id }) => id },
  )
  // Each partition has at most one owner.
  .map((all) => {
    const taken = new Set<number>();
    return all.map((one) => ({
      ...one,
      owned: one.owned.filter((number) => !taken.has(number) && taken.add(number)),
    }));
  });

test('fixed shares come first; the rest is shared by those who stay, and have room while anybody has', () => {
  fc.assert(
    fc.property(receivers, (all) => {
      const plan = planOwners(PARTITIONS, all);
      const staying = all.filter(({ stays }) => stays);
      const sharing = staying.filter(({ fixed }) => fixed === null);
      const roomy = sharing.filter(({ hasRoom }) => hasRoom);
      const able = roomy.length > 0 ? roomy : sharing;
      assert.equal(plan.length, PARTITIONS);
      plan.forEach((owner, partition) => {
        const fixed = staying.filter((one) => one.fixed?.includes(partition));
        const allowed = fixed.length > 0 ? fixed : able;
        if (allowed.length === 0) assert.equal(owner, null);
        else
          assert.ok(
            allowed.some(({ id }) => id === owner),
            `${partition}: ${owner}`,
          );
        const holder = fixed.find(({ owned }) => owned.includes(partition));
        if (holder !== undefined) assert.equal(owner, holder.id, 'whoever has it keeps it');
      });
      const shares = able.map(
        ({ id }) =>
          plan.filter(
            (owner, partition) => owner === id && !staying.some((one) => one.fixed?.includes(partition)),
          ).length,
      );
      if (shares.length > 0) assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, shares.join(' '));
    }),
  );
});

test('everybody computes the same plan, in whatever order it hears of the others', () => {
  const shuffled = receivers.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
  );
  fc.assert(
    fc.property(shuffled, ([all, other]) => {
      assert.deepEqual(planOwners(PARTITIONS, all), planOwners(PARTITIONS, other));
    }),
  );
});

test('a plan that is carried out is the plan', () => {
  fc.assert(
    fc.property(receivers, (all) => {
      const plan = planOwners(PARTITIONS, all);
      const after = all.map((one) => ({
        ...one,
        owned: plan.flatMap((owner, partition) => (owner === one.id ? [partition] : [])),
      }));
      assert.deepEqual(planOwners(PARTITIONS, after), plan);
    }),
  );
});

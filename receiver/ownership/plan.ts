// Which receiver should own which partition. Pure: everybody computes the same from the same view. Nothing depends on
// it but the balance: who writes is decided by compare-and-set on the records.

/** A receiver that lives, as it describes itself. */
export interface Receiver {
  readonly id: string;
  /** The partitions that it owns now. */
  readonly owned: readonly number[];
  /** Its share when it was given one by hand (`--own`, `--index`), null when it takes what the plan gives it. */
  readonly fixed: readonly number[] | null;
  /** False once it is stopping. */
  readonly stays: boolean;
  /** False while its disk takes nothing. */
  readonly hasRoom: boolean;
}

/**
 * Who should own each partition, null for nobody. Fixed shares come first: of several receivers with the same one,
 * whoever has it keeps it. The others share the rest evenly; one without room gets nothing while another has some.
 */
export function planOwners(partitions: number, receivers: readonly Receiver[]): (string | null)[] {
  const staying = receivers.filter(({ stays }) => stays).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const plan: (string | null)[] = Array.from({ length: partitions }, () => null);
  for (const { id, fixed, owned } of staying)
    for (const partition of fixed ?? [])
      if (partition < partitions && (plan[partition] === null || owned.includes(partition)))
        plan[partition] = id;
  const sharing = staying.filter(({ fixed }) => fixed === null);
  const roomy = sharing.filter(({ hasRoom }) => hasRoom);
  const shared = plan.flatMap((owner, partition) => (owner === null ? [partition] : []));
  const owners = new Map<number, string>();
  for (const { id, owned } of sharing) for (const partition of owned) owners.set(partition, id);
  const planned = planPartitions(
    (roomy.length > 0 ? roomy : sharing).map(({ id }) => id),
    shared.map((partition) => owners.get(partition) ?? null),
  );
  shared.forEach((partition, index) => {
    plan[partition] = planned[index] ?? null;
  });
  return plan;
}

/**
 * A balanced plan that moves no more than it must: every partition has exactly one owner, sizes differ by at most
 * one, and whoever owns a partition keeps it unless that would leave somebody else short.
 *
 * @param members ids of the receivers that are alive, in any order
 * @param owners the owner of each partition now, null when it is free; the length is the number of partitions
 * @returns the owner of each partition; all null when there are no members
 */
export function planPartitions(
  members: readonly string[],
  owners: readonly (string | null)[],
): (string | null)[] {
  const names = [...new Set(members)].toSorted();
  if (names.length === 0) return owners.map(() => null);
  const owned = new Map<string, number[]>(names.map((name) => [name, []]));
  owners.forEach((owner, partition) => {
    if (owner !== null) owned.get(owner)?.push(partition);
  });
  // Those who own most keep the odd ones: that moves least. Ties go by name, so that all agree.
  const byLoad = names.toSorted(
    (a, b) => (owned.get(b)?.length ?? 0) - (owned.get(a)?.length ?? 0) || (a < b ? -1 : 1),
  );
  const least = Math.floor(owners.length / names.length);
  const odd = owners.length % names.length;
  const plan: (string | null)[] = owners.map(() => null);
  const short: string[] = [];
  byLoad.forEach((name, rank) => {
    const share = least + (rank < odd ? 1 : 0);
    const kept = (owned.get(name) ?? []).slice(0, share);
    for (const partition of kept) plan[partition] = name;
    for (let missing = kept.length; missing < share; missing += 1) short.push(name);
  });
  return plan.map((owner) => owner ?? short.shift() ?? null);
}

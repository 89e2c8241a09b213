// Which receiver should own which partition. Pure: everybody computes the same from the same view.

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

// A map in two layers: what was set lately, over a base that is shared and never changed. A copy costs only the upper
// layer. Pure.

export class LayeredMap<V> extends Map<string, V> {
  readonly #base: ReadonlyMap<string, V>;
  /** Keys that are in both layers. */
  #both = 0;

  /**
   * @param base not copied, and not to be changed any more
   * @param recent what was set since
   */
  constructor(base: ReadonlyMap<string, V>, recent: Iterable<readonly [string, V]> = []) {
    super();
    this.#base = base;
    for (const [key, value] of recent) this.set(key, value);
  }

  copy(): LayeredMap<V> {
    return new LayeredMap(this.#base, this.recent());
  }

  /** The upper layer. */
  recent(): MapIterator<[string, V]> {
    return super.entries();
  }

  get recentSize(): number {
    return super.size;
  }

  override get size(): number {
    return super.size + this.#base.size - this.#both;
  }

  override get(key: string): V | undefined {
    return super.get(key) ?? this.#base.get(key);
  }

  override has(key: string): boolean {
    return super.has(key) || this.#base.has(key);
  }

  override set(key: string, value: V): this {
    if (!super.has(key) && this.#base.has(key)) this.#both += 1;
    return super.set(key, value);
  }

  override delete(): never {
    throw new Error('BUG: nothing leaves a layered map');
  }

  override clear(): never {
    throw new Error('BUG: nothing leaves a layered map');
  }

  override *entries(): MapIterator<[string, V]> {
    yield* super.entries();
    for (const both of this.#base) if (!super.has(both[0])) yield both;
  }

  override *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  override *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  override [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  override forEach(
    callback: (value: V, key: string, map: Map<string, V>) => void,
    thisArgument?: unknown,
  ): void {
    for (const [key, value] of this.entries()) callback.call(thisArgument, value, key, this);
  }
}

/** A copy that can be changed. */
export function copyMap<V>(map: ReadonlyMap<string, V>): Map<string, V> {
  return map instanceof LayeredMap ? (map as LayeredMap<V>).copy() : new Map(map);
}

/** What was set over the base; all of a map that has no layers. */
export function recentOf<V>(map: ReadonlyMap<string, V>): Iterable<[string, V]> {
  return map instanceof LayeredMap ? (map as LayeredMap<V>).recent() : map;
}

/** Makes names of resources from the ids of rules. Each name is valid, and unique in its namespace. */
export class ResourceNames {
  /** How often a name was wanted, by namespace and name. */
  readonly #wanted = new Map<string, number>();

  /** Makes the name for a rule. */
  next(id: string, namespace = ''): string {
    const plain =
      id
        .toLowerCase()
        .replace(/[^a-z0-9.-]+/g, '-')
        .slice(0, 240)
        .replace(/^[-.]+|[-.]+$/g, '') || 'rule';
    // The number stands behind what was cut off: otherwise two long names would stay equal for ever.
    for (let name = plain; ; ) {
      const full = `${namespace}/${name}`;
      const count = (this.#wanted.get(full) ?? 0) + 1;
      this.#wanted.set(full, count);
      if (count === 1) return name;
      name = `${name}-${count}`;
    }
  }
}

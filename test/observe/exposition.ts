/** One line of Prometheus' text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Reads the text format strictly.
 *
 * @throws Error for a line that is none, for a sample before its HELP and TYPE, and for one that stands twice
 */
export function readExposition(text: string): { samples: Sample[]; types: Map<string, string> } {
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const seen = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue;
    const type = /^# TYPE ([a-z_0-9]+) (counter|gauge|histogram|summary)$/.exec(line);
    if (type !== null) {
      if (types.has(type[1] as string)) throw new Error(`declared twice: ${line}`);
      types.set(type[1] as string, type[2] as string);
      continue;
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (sample === null) throw new Error(`no sample: ${line}`);
    const [, name = '', text = '', value = ''] = sample;
    const key = `${name}{${text}}`;
    if (seen.has(key)) throw new Error(`stands twice: ${line}`);
    seen.add(key);
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(family)) throw new Error(`not declared: ${line}`);
    const labels: Record<string, string> = {};
    for (const [, label = '', content = ''] of text.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g))
      labels[label] = content;
    samples.push({ name, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) });
  }
  return { samples, types };
}

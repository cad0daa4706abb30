/**
 * Finds the known name that the author most likely meant. It is only a few edits away (more for longer
 * names), or has the same words and further ones (`LISTEN_PORT`, `LISTEN_PROXY_PORT`). Case is ignored.
 *
 * @param name the name that was written
 * @param known the names that are possible
 */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const score = distance(name, candidate);
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best;
}

/** The distance of two names; lower is nearer. It is infinite if the names are too different to be confused. */
function distance(name: string, candidate: string): number {
  const [a, b] = [name.toLowerCase(), candidate.toLowerCase()];
  const edits = editDistance(a, b);
  // In a short name, three edits make a different word.
  const most = Math.max(2, Math.floor(Math.min(a.length, b.length) * 0.4));
  if (edits <= Math.min(most, 5) && (edits <= 2 || a.slice(0, 3) === b.slice(0, 3))) return edits;
  if (Math.min(a.length, b.length) >= 4 && (a.startsWith(b) || b.startsWith(a))) return 4;
  const words = wordsOf(name);
  const others = wordsOf(candidate);
  const telling = words.length > 1 || a.length >= 8;
  return telling && isSubsequence(words, others)
    ? 5 + others.length - words.length
    : Number.POSITIVE_INFINITY;
}

function wordsOf(name: string): string[] {
  return name
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
}

function isSubsequence(words: readonly string[], others: readonly string[]): boolean {
  let at = 0;
  for (const other of others) if (other === words[at]) at++;
  return at === words.length;
}

/** The Levenshtein distance, computed with two rows. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min((previous[j] as number) + 1, (row[j - 1] as number) + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length] as number;
}

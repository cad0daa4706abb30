/** The first versions of libraries on the request's path without the faults that are known of them. */
export const FLOORS: Readonly<Record<string, string>> = {
  fastify: '5.8.5',
  '@fastify/reply-from': '12.6.4',
  undici: '7.29.0',
};

/** Whether version `a` is at or above `b`; pre-releases count as below. */
export function reaches(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]];
  for (let i = 0; i < 3; i++) {
    const [x, y] = [left[i] ?? Number.NaN, right[i] ?? 0];
    if (x !== y) return x > y;
  }
  return true;
}

import t, { type Test } from 'tap';
import { available } from './require.js';

/** Stands for a test: remembers whether it was skipped or failed. */
function fakeTest() {
  const seen: string[] = [];
  return {
    seen,
    pass: (_message?: string, extra?: { skip?: string }) => {
      seen.push(`skip: ${extra?.skip}`);
      return true;
    },
    fail: (message?: string) => {
      seen.push(`fail: ${message}`);
      return false;
    },
  };
}

t.test('a requirement that is there lets the test go on', (t) => {
  const fake = fakeTest();
  const path = t.testdir({});
  t.intercept(process, 'env', { value: { ...process.env, PATH: `${path}:/usr/bin:/bin` } });
  if (available(fake as unknown as Test, 'curl')) t.same(fake.seen, []);
  else t.same(fake.seen, ['skip: curl is not installed']);
  t.end();
});

t.test('a missing one skips the test, or fails it where it is required', (t) => {
  const env = { ...process.env, PATH: t.testdir({}) };
  t.intercept(process, 'env', { value: { ...env, TEST_REQUIRE: '' } });
  const skipped = fakeTest();
  t.equal(available(skipped as unknown as Test, 'docker'), false);
  t.same(skipped.seen, ['skip: docker is not installed']);

  t.intercept(process, 'env', { value: { ...env, TEST_REQUIRE: 'nginx, docker' } });
  const failed = fakeTest();
  t.equal(available(failed as unknown as Test, 'docker'), false);
  t.same(failed.seen, ['fail: docker is required by TEST_REQUIRE and is not installed']);
  t.end();
});

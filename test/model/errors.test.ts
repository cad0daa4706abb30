import fc from 'fast-check';
import t from 'tap';
import { denial, ERRORS, type ErrorName, errorBody } from '../../src/model/errors.js';

t.test('the body of a refusal is its row and its reason, whatever the reason holds', async (t) => {
  const errors = Object.keys(ERRORS) as ErrorName[];
  fc.assert(
    fc.property(fc.constantFrom(...errors), fc.string({ unit: 'binary' }), (error, reason) => {
      const { code, status, message } = ERRORS[error];
      t.same(JSON.parse(errorBody(denial(error, reason))), { error: { code, status, message, reason } });
    }),
  );
});

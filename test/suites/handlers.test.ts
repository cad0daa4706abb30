import { together } from './together.js';

await together('auth/strategies', 'auth/mutators', 'auth/authorizers', 'auth/error-handlers', 'outbound');

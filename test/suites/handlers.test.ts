import { together } from './together.js';

await together('auth/strategies', 'auth/mutators', 'outbound');

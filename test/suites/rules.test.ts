import { together } from './together.js';

await together('rules', 'rules/apirule', 'rules/pattern', 'rules/table', 'parse');

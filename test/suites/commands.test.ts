import { together } from './together.js';

await together('commands');

import { together } from './together.js';

await together('clients', 'config', 'convert', 'docs', 'image');

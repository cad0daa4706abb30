/**
 * The RFCs' tests in one process: each file by itself would pay for a start of its own. Any of them can be run alone.
 */
import './rfc6750.test.js';
import './rfc7662.test.js';
import './rfc8705.test.js';
import './rfc9449.test.js';
import './rfc9470.test.js';
import './rfc9728.test.js';

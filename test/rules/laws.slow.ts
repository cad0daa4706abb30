/** The laws of the rule table, tried as often as the slow check wants: see `runs`. */
import './laws.test.js';

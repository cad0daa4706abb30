/** The laws of the rule table, of paths and of decisions, tried as often as the slow check wants: see `runs`. */
import '../introspection/decision.test.js';
import '../request/target.test.js';
import './dialect.test.js';
import './laws.test.js';

/** The laws of the rule table, of paths and of decisions, tried as often as the slow check wants: see `runs`. */
import '../../auth/introspection/decision.test.js';
import '../../parse/target.test.js';
import '../pattern/dialect.test.js';
import './laws.test.js';
import '../pattern/hostile.test.js';

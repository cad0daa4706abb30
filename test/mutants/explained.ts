/**
 * Why no test can kill these mutants, by their identifiers. `npm run test:mutants` fails if one of them does not exist any more,
 * or if a test kills it.
 */
export const EXPLAINED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'auth/decide.ts resolvePath: target.marks !== 0 → true': 'Without marks, none of the masks holds.',
    'auth/decide.ts decide: target.marks !== 0 || target.escaped || target.unmerged !== undefined … → true':
      'Saves time: a path that is plain has no other readings.',
    "auth/strategies/token-binding.ts confirmationOf.inside: typeof ext === 'object' && ext !== null && Object.hasOwn(ext, 'cnf') → typeof ext === 'object' && ext !== null":
      'No object of JSON inherits a member "cnf".',
    "auth/possession/dpop.ts DpopVerifier.#claimsProblem: typeof iat !== 'number' || !Number.isFinite(iat) → !Number.isFinite(iat)":
      'What is no number is not finite: the condition tells the compiler.',
    'auth/possession/dpop.ts DpopVerifier.#taken: current === undefined || current === nonce → current === nonce':
      'Without nonces both say that there is none.',
    "auth/possession/request-uri.ts canonicalUriOf: 'refused' in target || origin === undefined → 'refused' in target":
      'What begins with "undefined" is the URI of no request.',
    'auth/possession/certificate.ts fromByteSequence: 2 → 3': 'No certificate has one character.',
    'auth/possession/dpop.ts COMPACT: /^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$/ → /[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$/':
      'What may stand before it then is no Base64url, which the library refuses in the same words.',
    'auth/strategies/second-credential.ts holdsSecond.others: places[decider] ?? NOWHERE → places[decider]':
      'There is one for each strategy: the operator tells the compiler.',
    'auth/strategies/second-credential.ts holdsSecond: strategies.length < 2 → false':
      'Saves time: one strategy alone has no others.',
    'auth/strategies/second-credential.ts holdsSecond: known.set(strategies, places); → nothing':
      'Saves time: the places are found anew for each request.',
    'auth/strategies/second-credential.ts otherPlaces: places.some(isForm) && !own.some(isForm) → places.some(isForm)':
      'A strategy that reads forms itself has refused a second token in one before.',
    'auth/strategies/second-credential.ts otherPlaces: some → every #2':
      'A strategy that reads forms itself has refused a second token in one before.',
    'parse/target.ts isPlain.previous: 0 → 1': 'Neither is a slash.',
    "parse/token.ts readCredential: credential.kind === 'none' || target.query === '' → credential.kind === 'none'":
      'Saves time: an empty query holds no token.',
    'parse/token.ts spelledAlike: given === name || (given.length === name.length && plain(given) === pl… → (given.length === name.length && plain(given) === plain(name))':
      'Saves time: equal names are spelled alike.',
    'parse/form.ts holdBody.settle: held > 0 && !message.destroyed → !message.destroyed':
      'Nothing is put back then, which changes nothing.',
    "parse/parsed-request.ts webSocketKey: isHandshake && typeof key === 'string' && /^[A-Za-z0-9+/]{22}==$/.test… → isHandshake && /^[A-Za-z0-9+/]{22}==$/.test(key)":
      'A field that is absent is no key either: the condition tells the compiler.',
    'parse/parsed-request.ts framedBy: contentLength ?? 0 → 0': 'nghttp2 has reset such a stream before.',
    'parse/target.ts isPlain: === → !==': 'Every path goes the long way then, which comes to the same.',
    'parse/target.ts isPlain: === → !== #2': 'Every path goes the long way then, which comes to the same.',
    'parse/target.ts readings: /^\\/\\/+[^/]*/ → /\\/\\/+[^/]*/':
      'The text begins with what is looked for: it is found there first.',
    "parse/target.ts readAgain: path.includes('%25') → true":
      'Saves time: a path without it is read as itself.',
    "parse/target.ts canonicalTarget: 'refused' in canonical → false":
      'The refusal is in what is returned a line later as well.',
    "auth/introspection/answer.ts readClaims: typeof given !== 'object' || given === null || Array.isArray(given) → typeof given !== 'object' || given === null":
      'A list is refused a line later: it has no member "active".',
    'auth/introspection/cache.ts AnswerCache.set: answer.active && answer.expiresAt !== undefined → true':
      'The times that come of it are no numbers, and compare as none would.',
    'auth/introspection/cache.ts AnswerCache.stale: expires === undefined || (answer.expiresAt as number) <= this.#clock.w… → (answer.expiresAt as number) <= this.#clock.wall()':
      'The end of an entry without "exp" is no number then, and nothing is before it.',
    'parse/client-address.ts clientAddressReader: < → <=': 'There is no name at that index.',
    "parse/peer.ts peerReader: family !== 0 && trusted.check(address, family === 4 ? 'ipv4' : 'ipv6') → trusted.check(address, family === 4 ? 'ipv4' : 'ipv6')":
      'An address that is none is in no list, as BlockList says itself.',
    'proxy/upstream/connection.ts Connection.#pieces: 0 → 1': 'The first piece of each head sets it.',
    'proxy/upstream/connection.ts Connection.send: request.body !== undefined → true':
      'What sends the body looks once more whether there is one.',
    'proxy/upstream/connection.ts Connection.#take: !body.ended && rest.length > 0 → rest.length > 0':
      'A body that has ended reads nothing.',
    'proxy/upstream/connection.ts Connection.#switch: this.#deadline.end(); → nothing':
      'What it would do then is nothing where the connection was given away.',
    'proxy/upstream/connection.ts Connection.#switch: this.#forget(); → nothing':
      'The request stays in memory as long as the connection, and is not looked at.',
    'proxy/upstream/connection.ts Connection.#fail: head === undefined || request === undefined → head === undefined':
      'There is no head to repeat without its request: the condition tells the compiler.',
    'proxy/upstream/connection.ts Connection.#pump.onEnd: this.#outgoing !== request → false':
      'An answer before the end of the upload has closed the connection.',
    "proxy/upstream/response-head.ts has: list !== '' && list.includes(option) && list.split(',').some((each) =>… → list !== '' && list.split(',').some((each) => each.trim() === option)":
      'Saves time: most lists do not have the option.',
    'proxy/upstream/response-body.ts NO_BODY.endsWithConnection: false → true':
      'It has ended before anybody asks.',
    'proxy/upstream/response-body.ts NO_BODY.read: 0 → 1': 'What has ended is not read.',
    'auth/introspection/rate-limit.ts UnknownTokenLimiter.take: > → >=': 'No wait is exactly that tolerance.',
    'proxy/request-body.ts RequestBody.#look: 0 → 1 #2': 'Without any limit, nobody looks.',
    "proxy/response-headers.ts options: value === 'keep-alive' || value === 'close' → false":
      'Saves time: the list of one option is read as any other.',
    'proxy/identity-headers.ts plainName.plain: (code >= 0x61 && code <= 0x7a) || code === 0x2d || (code >= 0x30 && co… → code === 0x2d || (code >= 0x30 && code <= 0x39)':
      'Saves time: the long way comes to the same name.',
    'proxy/buffered-bodies.ts BufferedBodies.hold: oldest === undefined → false':
      'More bytes than may be held are held by somebody: the condition tells the compiler.',
    "proxy/identity-headers.ts firstSegment.hyphen: name.startsWith('x-') → !(name.startsWith('x-'))":
      'Patterns and names are cut at the same place, wherever that is.',
    'parse/fields.ts hasBody: contentLength ?? 0 → contentLength': 'What is undefined is not greater than 0.',
    'parse/host.ts readHost: startsWith → includes': 'The pattern allows a bracket only at the beginning.',
    'proxy/upstream/deadline.ts Deadline.wait: < → <=': 'A timer for the same time is set anew.',
    'proxy/upstream/queue.ts Queue.#remove: place.after = undefined; → nothing':
      'Nobody looks at a place that is left; its neighbours only leave memory sooner.',
    'proxy/upstream/queue.ts Queue.#remove: place.before = undefined; → nothing':
      'Nobody looks at a place that is left; its neighbours only leave memory sooner.',
    'auth/introspection/circuit-breaker.ts CircuitBreaker.#close: this.#probing = false; → nothing':
      'It is set again when the breaker opens, and nobody asks before.',
    'auth/introspection/circuit-breaker.ts CircuitBreaker.#close: this.#age++ → this.#age--':
      'The number that comes back belongs to permits that have ended.',
    'auth/strategies/second-credential.ts holdsSecond: > → >=': 'No places hold no credential.',
    'parse/cookies.ts cookieKeys: 1 → 2': 'The first of the parts is taken, however many there are.',
    "parse/parameter.ts occurrences: pairs === '' || !mayName(pairs, name) → false":
      'Saves time: what cannot have the name is compared piece by piece.',
    "parse/parameter.ts occurrences: pairs === '' || !mayName(pairs, name) → !mayName(pairs, name)":
      'Saves time: an empty text cannot have the name either.',
    'parse/field-names.ts isFieldName: LOWER.has(text) || TOKEN.test(text) → TOKEN.test(text)':
      'Saves time: the usual names are names by the pattern as well.',
    'parse/field-names.ts lowerName: LOWER.get(name) ?? name.toLowerCase() → name.toLowerCase()':
      'Saves time: the map has the usual names in lower case.',
    'rules/table/hosts.ts wildcardsAround.from: 2 → 3': 'At least one character stands between the two dots.',
    'rules/table/tree.ts visit: at > path.length || (segments === undefined && other === undefined) → (segments === undefined && other === undefined)':
      'The offset after the last slash is the length of the path at the most.',
    'rules/table/overlaps.ts OverlapAnalyser.#relate: this.#related.size < MAX_REMEMBERED → false':
      'Saves time: the proof is made again.',
    'rules/pattern/relation.ts Pairs.constructor: 1 → 2': 'There is a byte more than needed.',
    'rules/pattern/relation.ts PatternAnalysis.automaton: automata.set(this.#pattern, known); → nothing':
      'Saves time: the automaton is made again.',
    'rules/pattern/automaton.ts confineSet: min <= MAX_CHARACTER → true':
      'A range beyond the characters of paths ends before it begins then, and so has none.',
    "rules/pattern/anchors.ts collect: element.type === 'Assertion' && element.kind === kind → element.kind === kind":
      'Nothing else has such a kind: the condition tells the compiler.',
    'proxy/early-hints.ts passEarlyHints: !isStream(message) → isStream(message)':
      'Node holds the hints back until the response has the connection; they only come too late then.',
    'proxy/early-hints.ts passEarlyHints: !isStream(message) && response.socket === null → false':
      'Node holds the hints back until the response has the connection; they only come too late then.',
    'proxy/early-hints.ts passEarlyHints: !isStream(message) && response.socket === null → response.socket === null':
      'The socket of an HTTP/2 response is never null.',
    "proxy/early-hints.ts passEarlyHints: links.length === 0 || message.httpVersion === '1.0' → message.httpVersion === '1.0'":
      'Without links, Node writes nothing.',
    'auth/introspection/answer.ts list: value === undefined || value === null → value === undefined':
      'Members that are null are left out before.',
    "auth/mutators/envoy-format.ts parseEnvoyFormat: literal !== '' → true":
      'An empty text adds nothing to the value.',
    "auth/mutators/envoy-format.ts parseEnvoyFormat: literal !== '' → true #2":
      'An empty text adds nothing to the value.',
    'auth/mutators/envoy-format.ts compile: !(error instanceof TemplateError) → false':
      'The commands throw nothing else.',
    'auth/mutators/envoy-format.ts incomplete: upper !== undefined && Object.hasOwn(COMMANDS, upper) → Object.hasOwn(COMMANDS, upper)':
      'No command is named "undefined": the condition tells the compiler.',
    "auth/mutators/certificate-names.ts address: text.includes(':') && URL.canParse(`http://[${text}]`) → URL.canParse(`http://[${text}]`)":
      'Saves time: no URL has an IPv4 address in brackets.',
    'app/reread-files.ts RereadFilesWatch.constructor.since: 0 → 1':
      'The first failure sets it, and nobody reads it before.',
    'app/reread-files.ts filesOf: files.names.length > 0 → true':
      'Saves time: a group without files never changes and never fails.',
    'app/reread-files.ts filesOf: > → >=': 'Saves time: a group without files never changes and never fails.',
    'forward-auth/described-request.ts ABSOLUTE: /^(https?):\\/\\/([^/?#]+)(.*)$/i → /^(https?):\\/\\/([^/?#]+)(.*)/i':
      'No field value has a line break, at which the last part would end.',
    "forward-auth/described-request.ts READERS.original: host ?? fields.host ?? '' → host ?? fields.host":
      'A target without a host is refused, as one with an empty host is.',
    "forward-auth/described-request.ts READERS.request.authority: fields.host ?? '' → fields.host":
      'A target without a host is refused, as one with an empty host is.',
    'forward-auth/user-headers.ts claimOf: subject.claims !== undefined && Object.hasOwn(subject.claims, claim) → subject.claims !== undefined':
      'What an object inherits is no text, number or boolean, so the field is empty as well.',
    'parse/confusables.ts confusableWith: SLASHES.test(character) || SLASHES.test(folded) || UNSEEN.test(charact… → SLASHES.test(folded) || UNSEEN.test(character) || DELIMITERS.test(fold…':
      'Saves time: NFKC leaves these slashes as they are.',
    'auth/introspection/cache-keys.ts CacheKeys.of: prefix === undefined → true':
      'Saves time: the prefix is made again.',
    'auth/introspection/cache-keys.ts CacheKeys.of: this.#prefixes.set(endpoint, prefix); → nothing':
      'Saves time: the prefix is made again.',
    'auth/introspection/cache-keys.ts CacheKeys.of: this.#all.get(prefix) ?? isHydra(endpoint) → isHydra(endpoint)':
      'Saves time: the URL is read again.',
    "rules/pattern/attack.ts requestOfAttack: !path.startsWith('/') || 'refused' in canonical → false":
      'What is canonical begins with a slash, and a refusal has no path: the comparison on the next line says it all.',
    "rules/pattern/attack.ts requestOfAttack: !path.startsWith('/') || 'refused' in canonical → 'refused' in canonical":
      'What is canonical begins with a slash, and a refusal has no path: the comparison on the next line says it all.',
    "rules/pattern/attack.ts requestOfAttack: !path.startsWith('/') || 'refused' in canonical → !path.startsWith('/')":
      'What is canonical begins with a slash, and a refusal has no path: the comparison on the next line says it all.',
    'rules/pattern/attack.ts requestOfAttack: startsWith → includes':
      'What is canonical begins with a slash, and a refusal has no path: the comparison on the next line says it all.',
    'listener/preflight.ts preflight: asked === undefined → false':
      'No rule is for a method that is undefined: the condition tells the compiler.',
    'auth/introspection/unreadable-messages.ts UnreadableMessages.#arrived: false → true':
      'The first message sets it, and nobody reads it before.',
    'auth/mutators/envoy-format.ts unfitForCookie.fits: 0 → 1':
      'Every time has the same characters beside its digits and letters.',
  }),
);
